"""How the checks say things."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_QUERY = 160


def age(seconds: float) -> str:
    """Give a time for people: `8 s`, `12 min`, `2 h 10 min`, `3 days`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days"


def size(count: int) -> str:
    """Give a number of bytes for people: `16 MB`."""
    value, unit = float(count), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit in ("bytes", "kB", "MB") else f"{value:.1f} {unit}"


def one_line(query: str | None) -> str:
    """Give a query on one line, cut; nothing for None."""
    text = " ".join((query or "").split())
    return text if len(text) <= _LONGEST_QUERY else f"{text[:_LONGEST_QUERY]}…"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Give `1 slot`, `2 slots`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"


def enumerated(shown: Sequence[str], count: int) -> str:
    """Join what is shown; of more than that the rest is counted."""
    rest = count - len(shown)
    return "; ".join(shown) + (f"; and {rest:,} more" if rest > 0 else "")
