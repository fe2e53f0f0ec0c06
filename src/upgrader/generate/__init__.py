"""What the product writes for authors: new command files and new projects."""

from upgrader.generate.project import ProjectFiles, init_project
from upgrader.generate.scaffold import CommandType, scaffold_command

__all__ = ["CommandType", "ProjectFiles", "init_project", "scaffold_command"]
