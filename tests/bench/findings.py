"""What a measurement finds: lines of the table, and the notes below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of the table: what, the bar, what was measured, whether that is good enough.

    Attributes:
        is_met: None where there is no bar: the figure stands beside another one.
    """

    what: str
    bar: str
    measured: str
    is_met: bool | None

    @property
    def text(self) -> str:
        """The line."""
        met = "" if self.is_met is None else "yes" if self.is_met else "**no**"
        return f"| {self.what} | {self.bar} | {self.measured} | {met} |"


@dataclass(frozen=True)
class Section:
    """All that one measurement gives to the page.

    Attributes:
        notes: footnotes, each `[^name]: …`; the rows refer to them.
    """

    rows: Sequence[Row]
    notes: Sequence[str] = ()


def at_least(what: str, ratio: float, bar: float, told: str) -> Row:
    """Compare a rate with that of a peer."""
    return Row(what, f"≥ {bar:g}x", f"{_ratio(ratio)} ({told})", ratio >= bar)


def at_most(what: str, ratio: float, bar: float, told: str) -> Row:
    """Compare a time with another one."""
    return Row(what, f"≤ {bar:g}x", f"{_ratio(ratio)} ({told})", ratio <= bar)


def milliseconds(seconds: float) -> str:
    """Write a short time."""
    text = f"{seconds * 1000:.0f}" if seconds >= 0.0095 else f"{seconds * 1000:.1f}"
    return f"{text} ms"


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"
