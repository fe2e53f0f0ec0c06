"""Missing: never tried, though later ones are done. Late is not missing."""

from tests.unit.sequence.builders import database, done, drawn, full_name, plan, reasons, refusal, seq, token
from upgrader.sequence.missing import find_missing
from upgrader.sequence.plan import RefusalReason
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member

#   1.0.0 f1 f2 s3 │ w4 w5 a6  ║  1.1.0 f7 │ w8
SEQUENCE = seq("1.0.0 f1 f2 s3 w4 w5 a6 | 1.1.0 f7 w8")


def missing(sequence: StepSequence, state: DatabaseState) -> dict[str, tuple[str, ...]]:
    return {token(one.step): one.workspace_ids for one in find_missing(sequence, state)}


def test_a_fast_step_is_missing_where_a_fast_step_after_it_is_completed() -> None:
    assert missing(SEQUENCE, database(done(SEQUENCE, "f2"))) == {"f1": ()}


def test_a_fast_step_is_not_missing_before_a_slow_or_workspace_step_of_its_version() -> None:
    """Those do not come after it in what a fast step is compared with."""
    assert missing(SEQUENCE, database(done(SEQUENCE, "f1 s3"), x=done(SEQUENCE, "w4"))) == {}


def test_a_fast_step_is_missing_where_any_later_version_has_begun() -> None:
    """In any scope, out of scope too, and whether the code has that step or not."""
    later = done(SEQUENCE, "w4 w5 w8")
    assert missing(SEQUENCE, database(done(SEQUENCE, "f1"), x=later)) == {"f2": ()}
    outside = database(done(SEQUENCE, "f1"), others=[Member("x", later, "DELETED")])
    assert missing(SEQUENCE, outside) == {"f2": ()}
    unknown = done(SEQUENCE, "f1", gone=[full_name("1.5.0", "f99")])
    assert missing(SEQUENCE, database(unknown)) == {"f2": (), "f7": ()}


def test_a_workspace_step_is_missing_where_that_workspace_has_a_later_one() -> None:
    state = database(done(SEQUENCE, "f1 f2"), x=done(SEQUENCE, "w5"), y=done(SEQUENCE, "w4"))
    assert missing(SEQUENCE, state) == {"w4": ("x",)}


def test_a_workspace_step_is_missing_where_that_workspace_has_finished_a_later_version() -> None:
    """As recorded, though no step of it is known."""
    state = database(done(SEQUENCE, "f1 f2"), x=done(SEQUENCE, "w4", through="1.1.0"))
    assert missing(SEQUENCE, state) == {"w5": ("x",)}
    state = database(done(SEQUENCE, "f1 f2"), x=done(SEQUENCE, "w4", through="1.0.0"))
    assert missing(SEQUENCE, state) == {}


def test_a_late_workspace_misses_nothing() -> None:
    """The instance and the others are far ahead."""
    state = database(done(SEQUENCE, "f1 f2 f7"), late=done(SEQUENCE), x=done(SEQUENCE, "w4 w5 w8"))
    assert missing(SEQUENCE, state) == {}
    assert reasons(plan(SEQUENCE, state, include_slow=True)) == []


def test_slow_and_after_slow_steps_are_never_missing() -> None:
    state = database(done(SEQUENCE, "f1 f2 f7"), x=done(SEQUENCE, "w4 w5 w8"))
    assert missing(SEQUENCE, state) == {}


def test_a_step_that_was_tried_is_not_missing() -> None:
    """Failed, or reverted by a downgrade."""
    state = database(
        done(SEQUENCE, "f2", failed="f1"),
        x=done(SEQUENCE, "w5", failed="w4"),
        y=done(SEQUENCE, reverted="w4"),
    )
    assert missing(SEQUENCE, state) == {}


def test_what_an_enrolment_covers_is_not_missing() -> None:
    """Nothing of it is pending."""
    state = database(done(SEQUENCE, "f7", enrolment="1.0.0"), x=done(SEQUENCE, "w8", enrolment="1.0.0"))
    assert missing(SEQUENCE, state) == {}


def test_missing_steps_refuse_the_plan() -> None:
    """All of them, with the workspaces and both ways on."""
    state = database(done(SEQUENCE, "f2"), x=done(SEQUENCE, "w5"), y=done(SEQUENCE, "w5"))
    made = plan(SEQUENCE, state)
    assert reasons(made) == [RefusalReason.MISSING_STEPS]
    found = refusal(made, RefusalReason.MISSING_STEPS)
    assert found.subjects == ("1.0.0_F1_1", "1.0.0_W4_4")
    assert found.message == (
        "2 steps were never tried, though later ones are done: 1.0.0_F1_1, 1.0.0_W4_4 (in 2 workspaces: x, y)"
    )
    assert "--include-missing" in found.hint
    assert 'missing = "run"' in found.hint


def test_run_missing_runs_them_at_their_place() -> None:
    state = database(done(SEQUENCE, "f2 s3 f7"), x=done(SEQUENCE, "w5 w8"))
    made = plan(SEQUENCE, state, run_missing=True)
    assert reasons(made) == []
    assert drawn(made) == "1.0.0 f1 x:w4,a6"


def test_missing_steps_beyond_the_target_are_no_concern() -> None:
    sequence = seq("1.0.0 f1 | 1.1.0 f2 f3")
    state = database(done(sequence, "f3"))
    assert missing(sequence, state) == {"f1": (), "f2": ()}
    made = plan(sequence, state, to="1.0.0")
    assert refusal(made, RefusalReason.MISSING_STEPS).subjects == ("1.0.0_F1_1",)
