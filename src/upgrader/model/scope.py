"""Where a step runs: the instance, or one workspace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The instance (`workspace_id` is None) or one workspace (its id as text)."""

    workspace_id: str | None = None

    @property
    def is_instance(self) -> bool:
        """Whether this is the database as a whole."""
        return self.workspace_id is None

    def __str__(self) -> str:
        return "instance" if self.workspace_id is None else f"workspace {self.workspace_id}"


INSTANCE = Scope()
