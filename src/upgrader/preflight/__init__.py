"""What is looked at before the first statement of a run, and what is made of it."""
