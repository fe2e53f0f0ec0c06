"""What the server's error at the end of a statement means."""

from __future__ import annotations

import psycopg
import pytest

from upgrader.command import CommandKind
from upgrader.database.failures import note_seconds
from upgrader.model import Step
from upgrader.runner.explanation import is_statement_timeout
from upgrader.runner.options import RunSettings
from upgrader.runner.timeouts import timeouts_of
from upgrader.version import ApplicationVersion, ReleaseVersion

STEP = Step("1.0.0_X_1", CommandKind.FAST, ReleaseVersion.parse("1.0.0"), 1, "X")
SETTINGS = RunSettings(ApplicationVersion.parse("1.0.0"), statement_timeout_seconds=30)
TIMEOUTS = timeouts_of(STEP, SETTINGS)


@pytest.mark.parametrize(
    ("seconds", "is_timeout"),
    [(30.1, True), (29.9, True), (12.0, False), (0.0, False), (None, True)],
)
def test_timeout_is_told_from_a_cancel_in_any_language(seconds: float | None, is_timeout: bool):
    """By how long the statement had taken, where its text cannot be read; unknown counts as the timeout."""
    error = psycopg.errors.QueryCanceled("storniere Anfrage")
    if seconds is not None:
        note_seconds(error, seconds)
    assert is_statement_timeout(error, TIMEOUTS) is is_timeout


def test_other_errors_are_no_timeout():
    """However long their statement took."""
    error = psycopg.errors.UniqueViolation("twice")
    note_seconds(error, 60)
    assert not is_statement_timeout(error, TIMEOUTS)
