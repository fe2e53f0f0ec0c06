"""A filtered run walks one segment, and barriers look at all workspaces."""

from tests.unit.sequence.builders import database, done, drawn, plan, reasons, refusal, seq, version
from upgrader.sequence.plan import RefusalReason, StopReason
from upgrader.sequence.state import Member

#   1.0.0 f1 │ w2 w3  ║  1.1.0 f4 │ w5
SEQUENCE = seq("1.0.0 f1 w2 w3 | 1.1.0 f4 w5")
NEW = done(SEQUENCE)
THREE = database(NEW, a=NEW, b=NEW, c=NEW)


def test_one_segment_with_the_instance_steps_before_it() -> None:
    """The stop says who is left and what an unfiltered run would do."""
    made = plan(SEQUENCE, THREE, only=["b"])
    assert drawn(made) == "1.0.0 f1 b:w2,w3"
    assert reasons(made) == []
    assert made.stop
    assert made.stop.reason is StopReason.FILTERED
    assert made.stop.before == version("1.0.0")
    assert made.stop.workspace_ids == ("a", "c")
    assert made.stop.message == (
        "the filter leaves 2 workspaces in 1.0.0: a, c; "
        "an unfiltered run would take them through, then go on with 1.1.0"
    )


def test_start_from_takes_this_one_and_all_after_it() -> None:
    """By place, not by name."""
    state = database(NEW, z=NEW, m=NEW, a=NEW)
    assert drawn(plan(SEQUENCE, state, start_from="m")) == "1.0.0 f1 m:w2,w3 a:w2,w3"


def test_count_limit_takes_the_first_whether_or_not_something_is_pending() -> None:
    """`a` is done: of the first two only `b` runs."""
    state = database(done(SEQUENCE, "f1"), a=done(SEQUENCE, "w2 w3"), b=NEW, c=NEW)
    assert drawn(plan(SEQUENCE, state, limit=2)) == "1.0.0 b:w2,w3"


def test_filters_combine() -> None:
    """Ids and place, then the number."""
    made = plan(SEQUENCE, database(NEW, a=NEW, b=NEW, c=NEW, d=NEW), only=["d", "a", "c"], start_from="b")
    assert drawn(made) == "1.0.0 f1 c:w2,w3 d:w2,w3"
    made = plan(SEQUENCE, THREE, only=["c", "b"], start_from="b", limit=1)
    assert drawn(made) == "1.0.0 f1 b:w2,w3"


def test_the_last_of_a_segment_leaves_nobody() -> None:
    """Then the stop is before the next version."""
    state = database(done(SEQUENCE, "f1"), a=done(SEQUENCE, "w2 w3"), b=NEW)
    made = plan(SEQUENCE, state, only=["b"])
    assert made.stop
    assert made.stop.before == version("1.1.0")
    assert made.stop.workspace_ids == ()
    assert made.stop.message == (
        "the filter leaves no workspace in 1.0.0; an unfiltered run would then go on with 1.1.0"
    )


def test_the_last_of_everything() -> None:
    """Nothing is left."""
    state = database(done(SEQUENCE, "f1 f4"), a=done(SEQUENCE, "w2 w3"))
    made = plan(SEQUENCE, state, only=["a"])
    assert drawn(made) == "1.1.0 a:w5"
    assert made.stop
    assert made.stop.before is None
    assert made.stop.message.endswith("an unfiltered run would then have nothing more to do")


def test_nothing_pending_on_the_selected_runs_nothing() -> None:
    """The instance's steps neither."""
    state = database(NEW, a=done(SEQUENCE, "w2 w3 w5"), b=NEW)
    made = plan(SEQUENCE, state, only=["a"])
    assert made.is_empty
    assert made.stop
    assert made.stop.reason is StopReason.FILTERED
    assert made.stop.before == version("1.0.0")
    assert made.stop.message == (
        "none of the selected workspaces has anything to run; an unfiltered run would go on with 1.0.0"
    )


def test_instance_steps_of_the_versions_before_are_included() -> None:
    """Their barrier is open: nobody has anything pending below."""
    sequence = seq("1.0.0 f1 | 1.1.0 f2 w3 | 1.2.0 f4")
    made = plan(sequence, database(done(sequence), a=done(sequence)), only=["a"])
    assert drawn(made) == "1.0.0 f1 | 1.1.0 f2 a:w3"


def test_a_workspace_behind_the_segment_refuses_it() -> None:
    """Selected or not: `a` has not gone through 1.0.0."""
    state = database(done(SEQUENCE, "f1"), a=NEW, b=done(SEQUENCE, "w2 w3"))
    made = plan(SEQUENCE, state, only=["b"])
    assert reasons(made) == [RefusalReason.SELECTION_BEHIND_BARRIER]
    found = refusal(made, RefusalReason.SELECTION_BEHIND_BARRIER)
    assert found.subjects == ("a",)
    assert "1.1.0" in found.message
    assert "upgrader upgrade -w a" in found.hint


def test_the_same_in_a_run_under_way_is_a_stop() -> None:
    """A selected workspace failed, another went on: nothing is refused any more."""
    state = database(done(SEQUENCE, "f1"), a=done(SEQUENCE, failed="w2"), b=done(SEQUENCE, "w2 w3"))
    made = plan(SEQUENCE, state, only=["a", "b"], attempted=["a"], under_way=True)
    assert made.is_empty
    assert reasons(made) == []
    assert made.stop
    assert made.stop.reason is StopReason.WORKSPACES_LEFT
    assert made.stop.workspace_ids == ("a",)


def test_a_run_under_way_takes_who_is_new_in_the_segment_along() -> None:
    """The segment is listed again after its last workspace: `c` came meanwhile."""
    through = done(SEQUENCE, "w2 w3")
    state = database(done(SEQUENCE, "f1"), a=through, b=through, c=NEW)
    made = plan(SEQUENCE, state, start_from="b", under_way=True)
    assert drawn(made) == "1.0.0 c:w2,w3"


def test_a_deferred_slow_step_before_the_segment_stops_it() -> None:
    """What comes before the barrier runs."""
    #   1.0.0 f1 s2  ║  1.1.0 w3
    sequence = seq("1.0.0 f1 s2 | 1.1.0 w3")
    state = database(done(sequence), a=done(sequence))
    made = plan(sequence, state, only=["a"])
    assert drawn(made) == "1.0.0 f1 -s2"
    assert made.stop
    assert made.stop.reason is StopReason.SLOW_DEFERRED
    assert made.stop.before == version("1.1.0")
    assert drawn(plan(sequence, state, only=["a"], include_slow=True)) == "1.0.0 f1 s2 | 1.1.0 a:w3"


def test_a_version_with_slow_steps_only_stops_it_too() -> None:
    """Nothing of it runs, and it holds the barrier all the same."""
    sequence = seq("1.0.0 s1 | 1.1.0 f2 w3")
    made = plan(sequence, database(done(sequence), a=done(sequence)), only=["a"])
    assert drawn(made) == "1.0.0 -s1"
    assert made.stop
    assert made.stop.reason is StopReason.SLOW_DEFERRED


def test_a_deferred_slow_step_of_the_segment_is_named_by_what_comes_next() -> None:
    """The segment runs, and an unfiltered run would stop behind it."""
    sequence = seq("1.0.0 s1 w2 | 1.1.0 f3")
    made = plan(sequence, database(done(sequence), a=done(sequence)), only=["a"])
    assert drawn(made) == "1.0.0 a:w2 -s1"
    assert made.stop
    assert made.stop.message == (
        "the filter leaves no workspace in 1.0.0; an unfiltered run would then "
        "stop before 1.1.0: 1 slow step is pending: 1.0.0_S1_1"
    )


def test_an_id_that_is_not_there_is_refused() -> None:
    """So is a place to start from; what is out of scope is told apart."""
    state = database(NEW, a=NEW, others=[Member("gone", NEW, "DELETED")])
    made = plan(SEQUENCE, state, only=["a", "nobody", "gone"], start_from="nowhere")
    found = refusal(made, RefusalReason.UNKNOWN_WORKSPACE)
    assert found.subjects == ("nobody", "gone", "nowhere")
    assert (
        found.message
        == "there is no workspace nobody, nowhere; out of scope by status: gone (status DELETED)"
    )
    assert "ACTIVE, SUSPENDED" in found.hint


def test_a_workspace_that_is_not_enrolled_is_not_named_twice() -> None:
    """It is refused as not enrolled, whatever was selected."""
    state = database(done(SEQUENCE, "f1"), a=done(SEQUENCE, enrolment=None), b=done(SEQUENCE, "w2 w3"))
    assert reasons(plan(SEQUENCE, state, only=["b"])) == [RefusalReason.UNENROLLED_WORKSPACES]


def test_late_workspaces_are_marked_in_a_filtered_plan() -> None:
    """Though who made them late was not selected."""
    state = database(done(SEQUENCE, "f1 f4"), a=NEW, b=done(SEQUENCE, "w2 w3 w5"))
    made = plan(SEQUENCE, state, only=["a"])
    assert made.versions[0].late == ("a",)


def test_no_workspace_at_all_with_a_limit() -> None:
    """Nothing is selected."""
    made = plan(SEQUENCE, database(NEW), limit=3)
    assert made.is_empty
    assert reasons(made) == []
