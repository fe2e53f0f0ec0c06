"""What is told to the one who asked for the server: a line of text for each thing done to the machine."""

from __future__ import annotations

from collections.abc import Callable

Notify = Callable[[str], None]


def unheard(message: str) -> None:
    """Drop a message, for those who do not listen."""
