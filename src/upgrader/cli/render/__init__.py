"""What people and programs are shown: pure functions from values to blocks of text, and to JSON."""
