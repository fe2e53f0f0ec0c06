"""Nothing of the next version starts before everything so far is done, in every workspace."""

from tests.unit.sequence.builders import database, done, drawn, names, plan, reasons, seq, tokens, version
from upgrader.sequence.plan import StopReason

#   1.0.0 f1 s2 │ w3  ║  1.1.0 f4 │ w5
SEQUENCE = seq("1.0.0 f1 s2 w3 | 1.1.0 f4 w5")


def test_a_deferred_slow_step_closes_the_barrier() -> None:
    """The stop names the step and both ways on."""
    new = done(SEQUENCE)
    made = plan(SEQUENCE, database(new, x=new))
    assert drawn(made) == "1.0.0 f1 x:w3 -s2"
    assert made.stop
    assert made.stop.reason is StopReason.SLOW_DEFERRED
    assert made.stop.before == version("1.1.0")
    assert tokens(made.stop.steps) == "s2"
    assert made.stop.message == "stopped before 1.1.0: 1 slow step is pending: 1.0.0_S2_2"
    assert "upgrader upgrade --include-slow" in made.stop.hint
    assert "--defer-slow" in made.stop.hint


def test_a_barrier_that_was_closed_before_the_run_is_closed_too() -> None:
    """With the slow step left by an earlier run, nothing of 1.1.0 starts."""
    made = plan(SEQUENCE, database(done(SEQUENCE, "f1"), x=done(SEQUENCE, "w3")))
    assert drawn(made) == "1.0.0 -s2"
    assert made.is_empty
    assert made.stop
    assert made.stop.before == version("1.1.0")


def test_include_slow_opens_it() -> None:
    """There is no stop."""
    new = done(SEQUENCE)
    made = plan(SEQUENCE, database(new, x=new), include_slow=True)
    assert drawn(made) == "1.0.0 f1 s2 x:w3 | 1.1.0 f4 x:w5"
    assert made.stop is None


def test_defer_slow_goes_on_with_a_warning_per_step() -> None:
    """Each names the step and the version that overtakes it, once."""
    #   1.0.0 s1 │ a2  ║  1.1.0 f3  ║  1.2.0 s4  ║  1.3.0 f5
    sequence = seq("1.0.0 s1 a2 | 1.1.0 f3 | 1.2.0 s4 | 1.3.0 f5")
    new = done(sequence)
    made = plan(sequence, database(new, x=new, y=new), defer_slow=True)
    assert drawn(made) == "1.0.0 -s1 ~a2 | 1.1.0 f3 | 1.2.0 -s4 | 1.3.0 f5"
    assert made.stop is None
    assert made.warnings == (
        "1.0.0_S1_1 is deferred and will run out of order: 1.1.0 goes before it",
        "1.0.0_A2_2 waits for a deferred slow step and will run out of order in 2 workspaces: "
        "1.1.0 goes before it",
        "1.2.0_S4_4 is deferred and will run out of order: 1.3.0 goes before it",
    )


def test_defer_slow_with_nothing_beyond_warns_of_nothing() -> None:
    """Nothing overtakes the step."""
    sequence = seq("1.0.0 f1 s2")
    made = plan(sequence, database(done(sequence)), defer_slow=True)
    assert drawn(made) == "1.0.0 f1 -s2"
    assert made.warnings == ()


def test_a_slow_step_of_a_later_version_holds_nothing_before_it() -> None:
    """1.1.0 has only a slow step: the stop comes before 1.2.0."""
    sequence = seq("1.0.0 f1 | 1.1.0 s2 | 1.2.0 f3")
    made = plan(sequence, database(done(sequence)))
    assert drawn(made) == "1.0.0 f1 | 1.1.0 -s2"
    assert made.stop
    assert made.stop.before == version("1.2.0")


def test_a_workspace_that_failed_in_this_run_holds_the_barrier() -> None:
    """It is no task again; the others finish the segment."""
    state = database(done(SEQUENCE, "f1 s2"), x=done(SEQUENCE, failed="w3"), y=done(SEQUENCE))
    made = plan(SEQUENCE, state, attempted=["x"], under_way=True)
    assert drawn(made) == "1.0.0 y:w3"
    assert made.stop
    assert made.stop.reason is StopReason.WORKSPACES_LEFT
    assert made.stop.before == version("1.1.0")
    assert made.stop.workspace_ids == ("x",)
    assert made.stop.message == "stopped before 1.1.0: 1 workspace is not through: x"


def test_a_workspace_that_failed_in_the_last_version_holds_nothing() -> None:
    """Nothing lies beyond: no stop."""
    state = database(done(SEQUENCE, "f1 s2 f4"), x=done(SEQUENCE, "w3", failed="w5"), y=done(SEQUENCE, "w3"))
    made = plan(SEQUENCE, state, attempted=["x"], under_way=True)
    assert drawn(made) == "1.1.0 y:w5"
    assert made.stop is None


def test_a_workspace_that_failed_and_only_waits_now_does_not_hold_as_failed() -> None:
    """What holds then is the slow step."""
    sequence = seq("1.0.0 s1 a2 w3 | 1.1.0 f4")
    made = plan(sequence, database(done(sequence), x=done(sequence, "w3")), attempted=["x"])
    assert made.stop
    assert made.stop.reason is StopReason.SLOW_DEFERRED


def test_failed_workspaces_are_told_before_slow_steps() -> None:
    """Both hold the barrier: a failure is what the operator must see."""
    state = database(done(SEQUENCE, "f1"), x=done(SEQUENCE, failed="w3"))
    made = plan(SEQUENCE, state, attempted=["x"])
    assert made.stop
    assert made.stop.reason is StopReason.WORKSPACES_LEFT


def test_a_workspace_that_is_not_enrolled_holds_the_next_barrier_of_a_run_under_way() -> None:
    """The segment that has begun is finished; nothing is refused."""
    state = database(
        done(SEQUENCE, "f1 s2"),
        new=done(SEQUENCE, enrolment=None),
        x=done(SEQUENCE, "w3"),
        y=done(SEQUENCE),
    )
    made = plan(SEQUENCE, state, under_way=True)
    assert drawn(made) == "1.0.0 y:w3"
    assert reasons(made) == []
    assert made.stop
    assert made.stop.reason is StopReason.WORKSPACES_LEFT
    assert made.stop.workspace_ids == ("new",)


def test_a_workspace_that_is_not_enrolled_does_not_hold_a_barrier_that_is_passed() -> None:
    """1.1.0 has begun when it appears: its segment goes on, 1.2.0 waits."""
    sequence = seq("1.0.0 w1 | 1.1.0 f2 w3 | 1.2.0 f4")
    state = database(
        done(sequence, "f2"), new=done(sequence, enrolment=None), x=done(sequence, "w1", through="1.0.0")
    )
    made = plan(sequence, state, under_way=True)
    assert drawn(made) == "1.1.0 x:w3"
    assert made.stop
    assert made.stop.before == version("1.2.0")
    last = plan(sequence, state, under_way=True, to="1.1.0")
    assert drawn(last) == "1.1.0 x:w3"
    assert last.stop is None


def test_apply_all_takes_a_workspace_that_is_not_enrolled_along() -> None:
    """As if it were enrolled at the beginning."""
    state = database(done(SEQUENCE, "f1 s2"), new=done(SEQUENCE, enrolment=None))
    made = plan(SEQUENCE, state, under_way=True, unenrolled_run_all=True)
    assert drawn(made) == "1.0.0 new:w3 | 1.1.0 f4 new:w5"


def test_at_most_ten_are_named() -> None:
    """The subjects carry all."""
    sequence = seq("1.0.0 " + " ".join(f"s{number}" for number in range(1, 14)) + " | 1.1.0 f20")
    made = plan(sequence, database(done(sequence)))
    assert made.stop
    assert made.stop.message.endswith("1.0.0_S10_10 and 3 more")
    assert tuple(step.name for step in made.stop.steps) == names(
        sequence, " ".join(f"s{number}" for number in range(1, 14))
    )
