"""What a dry run leaves out, and which failures only come of that: a real run would not see them."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from upgrader.database.failures import database_error
from upgrader.errors import GuardError, StepError
from upgrader.model import Step
from upgrader.runner.result import NotSimulated

_NEW_ENUM_VALUE = "55P04"
_UNDEFINED = ("42P01", "42703", "42704", "42883", "3F000")  # table, column, object, function, schema
# What only shows where something is not there yet: NULLs that a backfill fills, a unique index (ON CONFLICT, FK).
_UNPREPARED = ("23502", "42P10", "42830")
_INVALID_TEXT = "22P02"
_CONSTRAINT = "23"  # the class of constraints that do not hold


class Excuses:
    """The steps that one dry run does not simulate, each with its reason."""

    def __init__(self, entries: list[NotSimulated]) -> None:
        """Add to `entries`, which is what the report shows."""
        self._entries = entries
        self._names: dict[str, None] = {}
        self._sampled: dict[str, str] = {}

    def covers(self, step: Step) -> bool:
        """Tell whether a step is left out."""
        return step.name in self._names

    def leave_out(self, step: Step, reason: str) -> None:
        """Leave a step out; the first reason counts."""
        if step.name not in self._names:
            self._names[step.name] = None
            self._entries.append(NotSimulated(step, reason))

    def note_samples(self, step: Step, samples: Sequence[str]) -> None:
        """Write down that backfills of a step were tried on some of their rows only; of its workspaces the first."""
        if samples and step.name not in self._sampled:
            reason = f"its backfill is tried on {' and '.join(samples)} only"
            self._sampled[step.name] = reason
            self._entries.append(NotSimulated(step, reason))

    def sample_of(self, step: Step) -> str | None:
        """Give on which of its rows the backfill of a step was tried; None where it was on all of them."""
        return self._sampled.get(step.name)

    def reason(self, error: BaseException, step: Step) -> str | None:
        """Say why a failure of a step is none of its own; None where it is."""
        found = database_error(error)
        if step.name in self._sampled and _may_lack_rows(error, found):
            return f"{self._sampled[step.name]}; what needs all of its rows fails without them"
        if found is None:
            return None
        if found.sqlstate == _NEW_ENUM_VALUE:
            return "it uses an enum value that is new in the same transaction"
        if self._names and _may_lack_something(found):
            names = ", ".join(self._names)
            return f"it may need what was not simulated ({names}): {found.diag.message_primary}"
        return None


def _may_lack_rows(error: BaseException, found: psycopg.Error | None) -> bool:
    if found is None:
        return isinstance(error, StepError) and not isinstance(error, GuardError)
    return str(found.sqlstate).startswith(_CONSTRAINT)


def _may_lack_something(error: psycopg.Error) -> bool:
    is_new_enum_value = error.sqlstate == _INVALID_TEXT and " enum " in str(error.diag.message_primary)
    return error.sqlstate in (*_UNDEFINED, *_UNPREPARED) or is_new_enum_value
