"""Upgrades over several machines: a coordinator with the plan and the run lock, workers with the workspaces."""
