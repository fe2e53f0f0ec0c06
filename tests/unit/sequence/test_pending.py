"""How far a scope is."""

import pytest

from tests.unit.sequence.builders import done, seq, tokens
from upgrader.sequence.pending import PendingSteps, inferred_version, pending_steps, reached
from upgrader.sequence.sequence import StepSequence
from upgrader.version import ApplicationVersion

#   1.0.0 f1 s2 │ w3 a4  ║  1.1.0 f5  ║  1.2.0 w6
SEQUENCE = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 | 1.2.0 w6")


def reached_text(progress: str, *, workspace: bool, app: str = "9.9.9", **rest: str) -> str:
    application = ApplicationVersion.parse(app)
    found = reached(SEQUENCE, done(SEQUENCE, progress, **rest), workspace=workspace, application=application)
    return str(found)


def inferred_text(progress: str, *, workspace: bool, sequence: StepSequence = SEQUENCE, **rest: str) -> str:
    return str(inferred_version(sequence, done(sequence, progress, **rest), workspace=workspace))


def test_pending_is_the_sequence_minus_the_completed() -> None:
    assert tokens(pending_steps(SEQUENCE, done(SEQUENCE, "f1 w3"), workspace=False)) == "s2 f5"
    assert tokens(pending_steps(SEQUENCE, done(SEQUENCE, "f1 w3"), workspace=True)) == "a4 w6"


def test_a_shared_progress_is_looked_up_once() -> None:
    pending = PendingSteps(SEQUENCE)
    progress = done(SEQUENCE, "w3")
    assert pending.of(progress, workspace=True) is pending.of(progress, workspace=True)
    assert tokens(pending.of(progress, workspace=False)) == "f1 s2 f5"


@pytest.mark.parametrize(
    ("progress", "workspace", "expected"),
    [
        ("", False, "None"),
        ("f1", False, "None"),
        ("f1 s2", False, "1.0.0"),
        ("f1 s2 f5", False, "1.2.0"),
        ("s2 f5", False, "None"),
        ("w3", True, "None"),
        ("w3 a4", True, "1.1.0"),
        ("w3 a4 w6", True, "1.2.0"),
    ],
)
def test_reached_counts_slow_steps(progress: str, workspace: bool, expected: str) -> None:
    """The highest version of which, and of all before it, nothing is left."""
    assert reached_text(progress, workspace=workspace) == expected


def test_reached_leaves_dormant_versions_out() -> None:
    assert reached_text("w3 a4 w6", workspace=True, app="1.1.0") == "1.1.0"


def test_reached_is_never_lower_than_recorded() -> None:
    assert reached_text("", workspace=True, through="1.1.0") == "1.1.0"
    assert reached_text("w3 a4 w6", workspace=True, through="1.5.0") == "1.5.0"


def test_reached_counts_an_enrolment() -> None:
    assert reached_text("", workspace=True, enrolment="1.1.0") == "1.1.0"
    assert reached_text("", workspace=True, enrolment="1.2.0") == "1.2.0"


@pytest.mark.parametrize(
    ("progress", "workspace", "expected"),
    [
        ("", False, "None"),
        ("f1", False, "1.0.0"),
        ("f1 f5", False, "1.2.0"),
        ("w3", True, "1.1.0"),
        ("w6", True, "None"),
        ("w3 w6", True, "1.2.0"),
    ],
)
def test_inferred_leaves_slow_steps_out(progress: str, workspace: bool, expected: str) -> None:
    """The highest version of which, and of all before it, nothing but slow steps is left."""
    assert inferred_text(progress, workspace=workspace) == expected


def test_inferred_falls_back_to_what_is_recorded() -> None:
    """An enrolment at a release without commands, a version whose commands were pruned."""
    assert inferred_text("", workspace=True, enrolment="0.9.5") == "0.9.5"
    assert inferred_text("", workspace=True, through="0.9.0") == "0.9.0"
    assert inferred_text("w3 a4 w6", workspace=True, enrolment="1.4.0") == "1.4.0"


def test_inferred_does_not_claim_what_is_recorded_above_a_pending_step() -> None:
    """w3 was added late: the workspace is not at 1.2.0."""
    assert inferred_text("w6", workspace=True, through="1.2.0") == "None"


def test_nothing_is_inferred_of_a_scope_without_history() -> None:
    """Though no step of it is pending in the first versions."""
    unknown = done(seq("1.0.0 f1"), enrolment=None)
    assert inferred_version(seq("1.0.0 f1"), unknown, workspace=True) is None
    application = ApplicationVersion.parse("9.9.9")
    assert reached(seq("1.0.0 f1"), unknown, workspace=True, application=application) is None


@pytest.mark.parametrize(("instance", "expected"), [("f1", "1.1.0"), ("f1 s2", "None")])
def test_a_step_after_slow_counts_as_slow_only_while_a_slow_step_is_pending(
    instance: str, expected: str
) -> None:
    """1.0.0 f1 s2 │ w3 a4: with s2 done, a plain upgrade runs a4, so it is simply pending."""
    released = SEQUENCE.released(done(SEQUENCE, instance))
    assert str(inferred_version(released, done(SEQUENCE, "w3"), workspace=True)) == expected
