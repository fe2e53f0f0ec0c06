"""How many workspaces are worked on at a time."""

from __future__ import annotations

from dataclasses import dataclass

_AUTO = "auto"
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Jobs:
    """How many workspaces are worked on at a time.

    Attributes:
        count: so many; None: as many as the database bears.
    """

    count: int | None = 1

    @classmethod
    def parse(cls, text: str) -> Jobs:
        """Read `4` or `auto`.

        Raises:
            ValueError: it is neither.
        """
        wanted = text.strip()
        if wanted.lower() == _AUTO:
            return cls(None)
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 10):
            raise ValueError(f"{text!r} is neither a number of workspaces, like 4, nor 'auto'")
        count = int(wanted)
        if not 1 <= count <= _MOST:
            raise ValueError(f"{count} workspaces at a time: from 1 to {_MOST} can be worked on")
        return cls(count)

    @property
    def is_auto(self) -> bool:
        """Whether the database decides."""
        return self.count is None

    @property
    def text(self) -> str:
        """As it is typed."""
        return _AUTO if self.count is None else str(self.count)
