"""How the planner counts and lists things in its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED_AT_MOST = 10


def listed(names: Sequence[str]) -> str:
    """Join names with commas; after the tenth only their number is given."""
    shown = ", ".join(names[:NAMED_AT_MOST])
    rest = len(names) - NAMED_AT_MOST
    return f"{shown} and {rest} more" if rest > 0 else shown


def counted(count: int, noun: str) -> str:
    """Give `1 workspace`, `2 workspaces`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
