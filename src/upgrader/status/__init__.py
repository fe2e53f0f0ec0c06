"""How the instance and the workspaces are; nothing here writes."""
