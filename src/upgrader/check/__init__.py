"""The gate of a pipeline: everything that can be wrong with commands, found before they are shipped."""
