"""In which order workspaces have their turn."""

from __future__ import annotations

from enum import StrEnum


class Order(StrEnum):
    """In which order the workspaces of a segment have their turn.

    Attributes:
        ID: as they are listed: ascending by id, or as the provider gives them.
        LARGEST_FIRST: by the size of their schema, so that a large one does not run alone at the end.
    """

    ID = "id"
    LARGEST_FIRST = "largest-first"
