"""Words that several renderings share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.model import Step

_KINDS = {"fast-instance": "fast", "slow-instance": "slow", "workspace": "workspace"}


def counted(count: int, noun: str) -> str:
    """Give `1 workspace`, `2,500 workspaces`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """Give a time for people: `8 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def age(seconds: float) -> str:
    """Give how long ago something was: as `duration`, and in days from two days on."""
    days = int(seconds // 86_400)
    return f"{days:,} days" if days >= 2 else duration(max(seconds, 0.0))


def kind_of(kind: str) -> str:
    """Give the word that authors type for a kind: `fast`, `slow`, `workspace`."""
    return _KINDS.get(kind, kind)


def called(step: Step) -> str:
    """Name a step for people: its class and its kind; version and timestamp stand elsewhere."""
    return f"{step.class_name} ({kind_of(step.kind.value)})"


def first_lines(text: str | None, count: int = 3) -> str:
    """Give the first lines of an error that say anything."""
    lines = [line.rstrip() for line in (text or "").splitlines() if line.strip()]
    more = "\n…" if len(lines) > count > 1 else ""
    return "\n".join(lines[:count]) + more


def moment(value: datetime | None) -> str:
    """Give a time in the local time zone, to the second; nothing for None."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""
