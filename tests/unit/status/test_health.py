"""How a scope is, in one word."""

from dataclasses import replace

import pytest

from tests.unit.sequence.builders import done, names, seq
from upgrader.model import AttemptStatus, Enrolment, Progress
from upgrader.status.health import Health, scope_health
from upgrader.version import ApplicationVersion, ReleaseVersion

#   1.0.0 f1 s2 │ w3 a4  ║  1.1.0 f5 │ w6  ║  1.2.0 f7 s8 │ w9
SEQUENCE = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 w6 | 1.2.0 f7 s8 w9")
APPLICATION = ApplicationVersion.parse("1.1.0")


def health(
    progress: Progress,
    *,
    workspace: bool,
    app: ApplicationVersion = APPLICATION,
    is_run_alive: bool = False,
    unenrolled_run_all: bool = False,
) -> Health:
    return scope_health(
        SEQUENCE.covered_by(app),
        progress,
        workspace=workspace,
        application=app,
        is_run_alive=is_run_alive,
        unenrolled_run_all=unenrolled_run_all,
    )


def opened(completed: str, tried: str, status: AttemptStatus) -> Progress:
    return replace(done(SEQUENCE, completed), open=dict.fromkeys(names(SEQUENCE, tried), status))


@pytest.mark.parametrize(
    ("completed", "failed", "expected"),
    [
        ("", "", Health.BEHIND),
        ("f1", "", Health.BEHIND),
        ("f1 s2", "", Health.BEHIND),
        ("f1 f5", "", Health.SLOW_PENDING),
        ("f5", "", Health.BEHIND),
        ("f1 s2 f5", "", Health.UP_TO_DATE),
        ("f1 s2", "f5", Health.FAILED),
        ("f1 f5", "s2", Health.FAILED),
        ("f1 s2 f5 f7", "", Health.AHEAD),
        ("f1 f5 f7", "", Health.SLOW_PENDING),
        ("f1 f7", "", Health.BEHIND),
    ],
)
def test_the_instance(completed: str, failed: str, expected: Health) -> None:
    """With app_version 1.1.0; what failed above it is none of this release's business."""
    assert health(done(SEQUENCE, completed, failed=failed), workspace=False) is expected
    if not failed:
        assert health(done(SEQUENCE, completed, failed="s8"), workspace=False) is expected


@pytest.mark.parametrize(
    ("completed", "failed", "expected"),
    [
        ("", "", Health.BEHIND),
        ("w3", "", Health.BEHIND),
        ("w3 w6", "", Health.SLOW_PENDING),
        ("w3 a4 w6", "", Health.UP_TO_DATE),
        ("w3 a4", "w6", Health.FAILED),
        ("w3 w6", "a4", Health.FAILED),
        ("w3 a4 w6 w9", "", Health.AHEAD),
    ],
)
def test_a_workspace(completed: str, failed: str, expected: Health) -> None:
    """A step that comes after slow ones counts like a slow one."""
    assert health(done(SEQUENCE, completed, failed=failed), workspace=True) is expected


@pytest.mark.parametrize(
    ("status", "is_run_alive", "expected"),
    [
        (AttemptStatus.RUNNING, True, Health.SLOW_PENDING),
        (AttemptStatus.RUNNING, False, Health.FAILED),
        (AttemptStatus.INTERRUPTED, True, Health.FAILED),
        (AttemptStatus.INTERRUPTED, False, Health.FAILED),
        (AttemptStatus.SKIPPED, False, Health.SKIPPED),
        (AttemptStatus.REVERTED, False, Health.SLOW_PENDING),
    ],
)
def test_an_attempt_without_an_end(status: AttemptStatus, is_run_alive: bool, expected: Health) -> None:
    """A running attempt has failed only where its run has died."""
    progress = opened("f1 f5", "s2", status)
    assert health(progress, workspace=False, is_run_alive=is_run_alive) is expected


def test_a_workspace_that_is_not_enrolled_is_behind() -> None:
    """Whatever is pending: no run begins before it is enrolled."""
    assert health(Progress(), workspace=True) is Health.BEHIND
    nothing_due = ApplicationVersion.parse("0.9.0")
    assert health(Progress(), workspace=True, app=nothing_due) is Health.BEHIND
    assert health(Progress(), workspace=True, app=nothing_due, unenrolled_run_all=True) is Health.UP_TO_DATE
    assert health(Progress(), workspace=True, unenrolled_run_all=True) is Health.BEHIND


def test_a_mark_counts_as_done() -> None:
    """Enrolled at this release: up to date; at a later one: ahead."""
    assert health(done(SEQUENCE, enrolment="1.1.0"), workspace=True) is Health.UP_TO_DATE
    assert health(done(SEQUENCE, enrolment="1.0.0"), workspace=True) is Health.BEHIND
    assert health(done(SEQUENCE, enrolment="1.2.0"), workspace=True) is Health.AHEAD


def test_a_scope_that_is_through_a_later_version_without_steps_for_it_is_not_ahead() -> None:
    assert health(done(SEQUENCE, "w3 a4 w6", through="1.2.0"), workspace=True) is Health.UP_TO_DATE


def test_steps_that_the_code_no_longer_has() -> None:
    """They make a scope ahead only if they are of a later version."""
    pruned = done(SEQUENCE, "w3 a4 w6", gone=["0.9.0_Old_1"])
    assert health(pruned, workspace=True) is Health.UP_TO_DATE
    later = done(SEQUENCE, "w3 a4 w6", gone=["1.3.0_New_1"])
    assert health(later, workspace=True) is Health.AHEAD
    patch = Progress(
        enrolment=Enrolment(ReleaseVersion.parse("1.1.0")), completed=frozenset({"1.1.0rc1_A_1"})
    )
    assert health(patch, workspace=True) is Health.UP_TO_DATE


@pytest.mark.parametrize(
    ("one", "good", "good_with_slow"),
    [
        (Health.UP_TO_DATE, True, True),
        (Health.AHEAD, True, True),
        (Health.SLOW_PENDING, True, False),
        (Health.BEHIND, False, False),
        (Health.FAILED, False, False),
    ],
)
def test_good(one: Health, good: bool, good_with_slow: bool) -> None:
    assert one.is_good(include_slow=False) is good
    assert one.is_good(include_slow=True) is good_with_slow


def test_an_enrolment_that_was_taken_back_is_not_ahead():
    """The old release is up to date again, also where a workspace was made by the newer one."""
    sequence = seq("1.0.0 w1 | 1.1.0 w2")
    old = sequence.covered_by(ApplicationVersion.parse("1.0.0"))
    made = done(sequence, enrolment="1.1.0")
    back = done(sequence, enrolment="1.1.0", reverted="w2")
    found = [
        scope_health(old, one, workspace=True, application=ApplicationVersion.parse("1.0.0"))
        for one in (made, back)
    ]
    assert found == [Health.AHEAD, Health.UP_TO_DATE]
