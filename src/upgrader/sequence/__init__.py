"""The sequence and the planner: values in, values out."""
