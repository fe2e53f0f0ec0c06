"""Cron expressions as cron reads them, put into the terms of APScheduler's `CronTrigger`.

The trigger is told explicit values: its own reading of an expression counts weekdays from Monday, leaves out in
silence what follows a name (`mon-fri/2`), and refuses steps that cron takes (`*/12` of the months).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ENTRY = re.compile(
    r"(?:(?P<all>\*|\?)|(?P<first>\d{1,9}|[a-z]{3})(?:-(?P<last>\d{1,9}|[a-z]{3}))?)(?:/(?P<step>\d{1,9}))?",
    re.ASCII,
)
_LAST_DAY = ("l", "last")


class CronExpression(StrEnum):
    """Expressions by name."""

    EVERY_SECOND = "* * * * * *"
    EVERY_5_SECONDS = "*/5 * * * * *"
    EVERY_10_SECONDS = "*/10 * * * * *"
    EVERY_30_SECONDS = "*/30 * * * * *"
    EVERY_MINUTE = "*/1 * * * *"
    EVERY_5_MINUTES = "0 */5 * * * *"
    EVERY_10_MINUTES = "0 */10 * * * *"
    EVERY_30_MINUTES = "0 */30 * * * *"
    EVERY_HOUR = "0 0-23/1 * * *"
    EVERY_6_HOURS = "0 0-23/6 * * *"
    EVERY_12_HOURS = "0 0-23/12 * * *"
    EVERY_DAY_AT_MIDNIGHT = "0 0 * * *"
    EVERY_DAY_AT_3AM = "0 03 * * *"
    EVERY_DAY_AT_NOON = "0 12 * * *"
    EVERY_WEEKDAY = "0 0 * * 1-5"
    EVERY_WEEKEND = "0 0 * * 6,0"
    EVERY_WEEK = "0 0 * * 0"
    EVERY_1ST_DAY_OF_MONTH_AT_MIDNIGHT = "0 0 1 * *"
    EVERY_QUARTER = "0 0 1 */3 *"
    EVERY_YEAR = "0 0 1 1 *"


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day_of_week", 0, 7, _DAYS),
)
_EVERY = "*"


@dataclass(frozen=True, slots=True)
class CronFields:
    """The arguments of one `CronTrigger`, each a list of values or `*`; weekdays counted from Monday, 0."""

    second: str
    minute: str
    hour: str
    day: str
    month: str
    day_of_week: str


def parse_cron(expression: str) -> tuple[CronFields, ...]:
    """Read an expression of six fields, seconds first, or of five: minute, hour, day, month, day of week.

    Days of the week are 0 to 7, 0 and 7 both Sunday, or names. Where both the day of the month and that of the
    week are restricted either is enough, as in cron: there are two sets of fields then.

    Raises:
        ValueError: it is no cron expression; the message says what is wrong in it.
    """
    text = " ".join(expression.lower().split())
    parts = _MACROS.get(text, text).split()
    if len(parts) not in (5, 6):
        raise ValueError(
            f"{expression!r} has {len(parts)} fields: a cron expression has six,"
            " second minute hour day month weekday, or five without the second"
        )
    if len(parts) == 5:
        parts.insert(0, "0")
    values = {
        field.name: _values(field, part, expression) for field, part in zip(_FIELDS, parts, strict=True)
    }
    day, weekday = values["day"], _from_monday(values["day_of_week"])
    either = day != _EVERY and weekday != _EVERY
    days = ((day, _EVERY), (_EVERY, weekday)) if either else ((day, weekday),)
    return tuple(CronFields(**{**values, "day": one, "day_of_week": other}) for one, other in days)


def _values(field: _Field, part: str, expression: str) -> str:
    """Give a field as a list of values; `*` where it leaves nothing out."""
    found: set[int] = set()
    for entry in part.split(","):
        if field.name == "day" and part in _LAST_DAY:
            return "last"
        found |= _entry(field, entry, expression)
    if field.name == "day_of_week":
        found = {value % 7 for value in found}
    whole = 7 if field.name == "day_of_week" else field.highest - field.lowest + 1
    return _EVERY if len(found) == whole else ",".join(map(str, sorted(found)))


def _entry(field: _Field, entry: str, expression: str) -> set[int]:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"{entry!r} in {expression!r} is no {_called(field)}")
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f"{entry!r} in {expression!r} has a step of 0")
    if match["all"]:
        highest = 6 if field.name == "day_of_week" else field.highest
        return set(range(field.lowest, highest + 1, step))
    first = _number(field, match["first"], expression)
    if match["last"] is not None:
        last = _number(field, match["last"], expression)
        if field.name == "day_of_week" and last == 0 < first:
            last = 7  # fri-sun
    else:
        last = field.highest if match["step"] else first
    if last < first:
        raise ValueError(f"{entry!r} in {expression!r} ends before it begins")
    return set(range(first, last + 1, step))


def _number(field: _Field, text: str, expression: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.lowest
    if not text.isdigit():
        raise ValueError(f"{text!r} in {expression!r} is no {_called(field)}")
    value = int(text)
    if not field.lowest <= value <= field.highest:
        raise ValueError(
            f"{text} in {expression!r} is no {_called(field)}: they are {field.lowest} to {field.highest}"
        )
    return value


def _called(field: _Field) -> str:
    return {"day": "day of the month", "day_of_week": "day of the week"}.get(field.name, field.name)


def _from_monday(values: str) -> str:
    """Count weekdays from Monday, 0, instead of from Sunday."""
    if values == _EVERY:
        return values
    return ",".join(str(day) for day in sorted((int(value) - 1) % 7 for value in values.split(",")))
