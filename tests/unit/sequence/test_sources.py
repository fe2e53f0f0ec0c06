"""No accidental emptiness."""

from dataclasses import replace

from tests.unit.sequence.builders import database, done, drawn, plan, reasons, refusal, seq, version
from upgrader.sequence.plan import RefusalReason, StopReason
from upgrader.sequence.state import DatabaseState, Member, Source

#   1.0.0 f1  ║  1.1.0 f2 s3 │ w4  ║  1.2.0 f5
SEQUENCE = seq("1.0.0 f1 | 1.1.0 f2 s3 w4 | 1.2.0 f5")


def without_source(text: str = "", **rest: str) -> DatabaseState:
    return replace(database(done(SEQUENCE, text, **rest)), source=Source.ABSENT)


def test_no_source_is_refused_where_nothing_before_the_segment_could_make_it() -> None:
    made = plan(SEQUENCE, without_source("f1 f2 s3"))
    assert reasons(made) == [RefusalReason.NO_WORKSPACE_SOURCE]
    found = refusal(made, RefusalReason.NO_WORKSPACE_SOURCE)
    assert found.subjects == ("1.1.0_W4_4",)
    assert "table core.workspace is not there" in found.message
    assert "[tool.upgrader.workspaces]" in found.hint
    assert made.is_empty


def test_the_instance_steps_before_the_first_segment_may_make_it() -> None:
    """The plan goes up to the segment, where the run plans again."""
    made = plan(SEQUENCE, without_source())
    assert reasons(made) == []
    assert drawn(made) == "1.0.0 f1 | 1.1.0 f2 -s3"
    assert made.stop
    assert made.stop.reason is StopReason.NO_WORKSPACE_SOURCE
    assert made.stop.before == version("1.1.0")


def test_a_first_run_that_failed_half_way_can_be_taken_up() -> None:
    """f1 is completed, f2 is still to come and may make the table."""
    made = plan(SEQUENCE, without_source("f1", failed="f2"))
    assert reasons(made) == []
    assert drawn(made) == "1.1.0 f2 -s3"


def test_a_deferred_slow_step_makes_nothing() -> None:
    """Nothing would run, so nothing would change."""
    state = without_source("f1 f2")
    assert reasons(plan(SEQUENCE, state)) == [RefusalReason.NO_WORKSPACE_SOURCE]
    assert reasons(plan(SEQUENCE, state, include_slow=True)) == []


def test_a_database_past_the_segment_should_have_it() -> None:
    """f5 is completed: the table was there once, or its name is wrong."""
    made = plan(SEQUENCE, without_source("f1 f5"), run_missing=True)
    assert reasons(made) == [RefusalReason.NO_WORKSPACE_SOURCE]


def test_a_filter_waits_for_the_source_too() -> None:
    """Nobody can be selected yet; an id is unknown."""
    made = plan(SEQUENCE, without_source(), limit=2)
    assert drawn(made) == "1.0.0 f1 | 1.1.0 f2 -s3"
    assert reasons(plan(SEQUENCE, without_source(), only=["a"])) == [RefusalReason.UNKNOWN_WORKSPACE]


def test_no_source_is_fine_with_instance_steps_only() -> None:
    """Also where the workspace steps lie above the target."""
    made = plan(SEQUENCE, without_source(), to="1.0.0")
    assert reasons(made) == []
    assert drawn(made) == "1.0.0 f1"
    assert made.stop is None


def test_no_source_is_fine_below_a_baseline() -> None:
    """The segments up to it count as done."""
    made = plan(SEQUENCE, without_source(enrolment="1.1.0"))
    assert reasons(made) == []
    assert drawn(made) == "1.2.0 f5"


def test_rows_of_which_none_is_in_scope_are_refused() -> None:
    """With the statuses that were found, sorted, and those that are configured."""
    new = done(SEQUENCE)
    others = [Member("a", new, "PENDING"), Member("b", new, "DELETED"), Member("c", new, "PENDING")]
    made = plan(SEQUENCE, database(new, others=[*others, Member("d", new)]))
    assert reasons(made) == [RefusalReason.NO_WORKSPACE_IN_SCOPE]
    found = refusal(made, RefusalReason.NO_WORKSPACE_IN_SCOPE)
    assert found.message == (
        "no workspace of table core.workspace is in scope: found DELETED (1 workspace), "
        "PENDING (2 workspaces), no status (1 workspace); configured are ACTIVE, SUSPENDED"
    )
    assert found.subjects == ("a", "b", "c", "d")
    assert "statuses" in found.hint


def test_rows_out_of_scope_are_fine_without_segments() -> None:
    new = done(SEQUENCE)
    assert reasons(plan(SEQUENCE, database(new, others=[Member("a", new, "X")]), to="1.0.0")) == []
