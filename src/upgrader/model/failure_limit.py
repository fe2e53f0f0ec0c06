"""How many failures a segment may have."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(?P<number>[0-9]{1,9})|(?P<percent>[0-9]{1,3}(\.[0-9]{1,6})?) ?%")


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """When a segment is ended before all its workspaces have had their turn; without either number never.

    Attributes:
        count: with so many failed workspaces it is over.
        percent: with more than this part of the segment's workspaces failed it is over. It is the part of all
            of them, not of those that have had their turn: a bad beginning ends nothing that can still be kept.
    """

    count: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> FailureLimit:
        """Read `20` or `5%`.

        Raises:
            ValueError: it is neither.
        """
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"{text!r} is neither a number of workspaces, like 20, nor a part of them, like 5%"
            )
        if found["number"] is not None:
            count = int(found["number"])
            if count < 1:
                raise ValueError("0 failures are reached before anything runs: 1 stops at the first one")
            return cls(count=count)
        percent = float(found["percent"])
        if percent > 100:
            raise ValueError(f"{text!r} is more than all workspaces")
        return cls(percent=percent)

    @property
    def text(self) -> str:
        """As it is typed; empty without a limit."""
        if self.count is not None:
            return str(self.count)
        return "" if self.percent is None else f"{self.percent:g}%"

    def is_reached(self, *, failed: int, total: int) -> bool:
        """Tell whether a segment of `total` workspaces is over after so many failures."""
        if self.count is not None and failed >= self.count:
            return True
        return self.percent is not None and failed * 100 > self.percent * total
