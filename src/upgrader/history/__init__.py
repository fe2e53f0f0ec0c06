"""The history: what was run, where, and what came of it; and the locks around it."""
