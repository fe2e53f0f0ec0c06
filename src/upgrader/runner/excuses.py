"""What a dry run leaves out, and which failures only come of that: a real run would not see them."""

from __future__ import annotations

import psycopg

from upgrader.database.failures import database_error
from upgrader.model import Step
from upgrader.runner.result import NotSimulated

_NEW_ENUM_VALUE = "55P04"
_UNDEFINED = ("42P01", "42703", "42704", "42883", "3F000")  # table, column, object, function, schema
# What only shows where something is not there yet: NULLs that a backfill fills, a unique index (ON CONFLICT, FK).
_UNPREPARED = ("23502", "42P10", "42830")
_INVALID_TEXT = "22P02"


class Excuses:
    """The steps that one dry run does not simulate, each with its reason."""

    def __init__(self, entries: list[NotSimulated]) -> None:
        """Add to `entries`, which is what the report shows."""
        self._entries = entries
        self._names: set[str] = set()

    def covers(self, step: Step) -> bool:
        """Tell whether a step is left out."""
        return step.name in self._names

    def leave_out(self, step: Step, reason: str) -> None:
        """Leave a step out; the first reason counts."""
        if step.name not in self._names:
            self._names.add(step.name)
            self._entries.append(NotSimulated(step, reason))

    def reason(self, error: BaseException) -> str | None:
        """Say why a failure is none of the step's own; None where it is."""
        found = database_error(error)
        if found is None:
            return None
        if found.sqlstate == _NEW_ENUM_VALUE:
            return "it uses an enum value that is new in the same transaction"
        if self._entries and _may_lack_something(found):
            names = ", ".join(entry.step.name for entry in self._entries)
            return f"it may need what was not simulated ({names}): {found.diag.message_primary}"
        return None


def _may_lack_something(error: psycopg.Error) -> bool:
    is_new_enum_value = error.sqlstate == _INVALID_TEXT and " enum " in str(error.diag.message_primary)
    return error.sqlstate in (*_UNDEFINED, *_UNPREPARED) or is_new_enum_value
