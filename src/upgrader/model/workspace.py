"""One tenant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workspace:
    """A row of the workspace table, or what a provider gives for one.

    Attributes:
        id: the id as text.
        schema: the schema of its own; None where it has none: the role's own search_path is kept.
        display_name: what people call it.
        status: its status as text; None where the provider has none.
    """

    id: str
    schema: str | None = None
    display_name: str | None = None
    status: str | None = None

    @property
    def label(self) -> str:
        """The id, with the name where there is one, for people."""
        return f"{self.id} ({self.display_name})" if self.display_name else self.id
