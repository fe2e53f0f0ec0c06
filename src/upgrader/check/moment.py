"""When a command was written, as far as its timestamp tells."""

from __future__ import annotations

from datetime import UTC, datetime

_AS_A_DATE = "%Y%m%d%H%M%S"
_DIGITS_OF_A_DATE = 14
_LAST = datetime.max.replace(tzinfo=UTC)


def moment_of(timestamp: int) -> datetime:
    """Read a timestamp: milliseconds since 1970, as `generate` writes them.

    Fourteen digits that read as a date and a time (20261122093000) are taken as that, in UTC: as milliseconds
    they would lie centuries ahead. What lies beyond the year 9999 is the last moment that there is.
    """
    text = str(timestamp)
    if len(text) == _DIGITS_OF_A_DATE:
        try:
            return datetime.strptime(text, _AS_A_DATE).replace(tzinfo=UTC)
        except ValueError:
            pass  # thirteen months, or the like: a number
    try:
        return datetime.fromtimestamp(timestamp / 1000, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return _LAST
