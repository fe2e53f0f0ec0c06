"""What a watch adds up, and which timeouts hold for a step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from upgrader.command import CommandKind
from upgrader.model import INSTANCE, Blocker, LockWait, Step, StepTimeouts
from upgrader.runner.lock_watch import LockWatch, WatchedStep
from upgrader.runner.options import RunSettings
from upgrader.runner.timeouts import session_settings, timeouts_of
from upgrader.version import ApplicationVersion, ReleaseVersion

STEP = Step("1.0.0_X_1", CommandKind.FAST, ReleaseVersion.parse("1.0.0"), 1, "X")
SETTINGS = RunSettings(ApplicationVersion.parse("1.0.0"), statement_timeout_seconds=30)
WAIT = LockWait("AccessExclusiveLock", "core.t", 0.5, "12:00:00", True, (Blocker(1),))


def watched(lock_seconds: float = 2.0) -> WatchedStep:
    return WatchedStep(STEP, INSTANCE, lock_seconds)


def test_looks_at_one_wait_count_as_the_longest():
    """Two looks at one wait are one wait; another one is added; a timeout counts wholly."""
    step = watched()
    step.note(WAIT)
    step.note(replace(WAIT, seconds=1.5))
    assert step.waited_seconds == 1.5
    step.note(replace(WAIT, seconds=0.25, started="12:00:09"))
    assert step.waited_seconds == 1.75
    step.note_timeout()
    assert step.waited_seconds == 3.5


def test_timeout_that_nobody_saw_counts_too():
    """The server waited for as long as it was told to."""
    step = watched(0.1)
    step.note_timeout()
    assert step.waited_seconds == pytest.approx(0.1)


def test_last_blockers_stay_known():
    """A look that finds nobody takes no name away."""
    step = watched()
    step.note(WAIT)
    step.note(replace(WAIT, blockers=()))
    assert step.blockers == (Blocker(1),)


@pytest.mark.parametrize(
    ("lock_seconds", "look"), [(2, 0.25), (0.4, 0.1), (0.001, 0.01), (0, 0.25), (600, 0.25)]
)
def test_it_looks_before_a_lock_timeout_is_over(lock_seconds: float, look: float):
    """Four times within a short one, and not more often than a hundred times a second."""
    assert watched(lock_seconds).look_seconds == pytest.approx(look)


def test_without_a_connection_nothing_is_begun():
    """No thread is started."""
    watch = LockWatch()
    step = watched()
    watch.begin(step, 4711)
    watch.end(step)
    watch.close()
    assert watch._thread is None


def test_settings_of_a_session_and_of_a_step():
    """What is the session's own need not be said again in each transaction."""
    assert session_settings(SETTINGS) == {
        "statement_timeout": "30000",
        "idle_in_transaction_session_timeout": "600000",
    }
    timeouts = timeouts_of(STEP, SETTINGS)
    assert timeouts.transactional == {"lock_timeout": "2000"}
    assert timeouts.migration == {"lock_timeout": "0"}


def test_overrides_of_a_command():
    """They win; what is shorter than a millisecond is not off."""
    own = StepTimeouts(lock_timeout_seconds=0.0012, lock_tries=3, statement_timeout_seconds=0)
    timeouts = timeouts_of(replace(STEP, timeouts=own), SETTINGS)
    assert timeouts.tries == 3
    assert timeouts.transactional == {"lock_timeout": "1", "statement_timeout": "0"}
    assert timeouts.migration == {"lock_timeout": "1", "statement_timeout": "0"}


def test_outside_a_transaction_there_is_no_timeout_that_was_not_asked_for():
    """An index would be left invalid."""
    step = replace(STEP, transactional=False)
    assert timeouts_of(step, SETTINGS).autocommit == {"lock_timeout": "0", "statement_timeout": "0"}
    asked = replace(step, timeouts=StepTimeouts(statement_timeout_seconds=5, lock_timeout_seconds=1))
    assert timeouts_of(asked, SETTINGS).autocommit == {"lock_timeout": "0", "statement_timeout": "5000"}
