"""What a plan runs, and in which order."""

from tests.unit.sequence.builders import database, done, drawn, plan, seq, tokens, version
from upgrader.sequence.plan import Plan

#                      segment        segment
#   1.0.0 f1 f2 s3 │ w4 w5  ║  1.1.0 f6 │ w7
SEQUENCE = seq("1.0.0 f1 f2 s3 w4 w5 | 1.1.0 f6 w7")


def test_everything_is_planned_in_the_order_of_the_sequence() -> None:
    """Versions ascend; in each the fast steps, the slow ones, then workspace by workspace."""
    new = done(SEQUENCE)
    made = plan(SEQUENCE, database(new, x=new, y=new), include_slow=True)
    assert drawn(made) == "1.0.0 f1 f2 s3 x:w4,w5 y:w4,w5 | 1.1.0 f6 x:w7 y:w7"
    assert made.stop is None
    assert made.target == version("1.1.0")
    assert [one.step_count for one in made.versions] == [7, 3]


def test_what_is_completed_is_left_out() -> None:
    """What is pending is the sequence minus the completed, in each scope."""
    state = database(done(SEQUENCE, "f1 s3"), x=done(SEQUENCE, "w4"), y=done(SEQUENCE, "w4 w5"))
    assert drawn(plan(SEQUENCE, state)) == "1.0.0 f2 x:w5 | 1.1.0 f6 x:w7 y:w7"


def test_an_enrolment_counts_as_done_up_to_its_version() -> None:
    """A workspace made in the shape of 1.0.0 begins with 1.1.0."""
    state = database(done(SEQUENCE, "f1 f2 s3"), x=done(SEQUENCE, enrolment="1.0.0"), y=done(SEQUENCE))
    assert drawn(plan(SEQUENCE, state)) == "1.0.0 y:w4,w5 | 1.1.0 f6 x:w7 y:w7"


def test_a_reverted_step_runs_again() -> None:
    """Even below an enrolment."""
    x = done(SEQUENCE, enrolment="1.1.0", reverted="w5")
    made = plan(SEQUENCE, database(done(SEQUENCE, enrolment="1.1.0"), x=x))
    assert drawn(made) == "1.0.0 x:w5"


def test_nothing_pending_is_an_empty_plan() -> None:
    """With a target and no stop."""
    state = database(done(SEQUENCE, enrolment="1.1.0"), x=done(SEQUENCE, enrolment="1.1.0"))
    made = plan(SEQUENCE, state)
    assert made.is_empty
    assert made == Plan(target=version("1.1.0"))


def test_an_empty_sequence_is_an_empty_plan() -> None:
    """There is nothing to go to."""
    assert plan(seq(""), database(done(seq("")))) == Plan()


def test_dormant_versions_are_left_out() -> None:
    """`app_version` covers by MAJOR.MINOR.PATCH: 1.1.0.dev3 covers 1.1.0, 1.0.9 does not."""
    new = done(SEQUENCE)
    state = database(new, x=new)
    assert drawn(plan(SEQUENCE, state, "1.0.9", include_slow=True)) == "1.0.0 f1 f2 s3 x:w4,w5"
    assert plan(SEQUENCE, state, "1.0.9").target == version("1.0.0")
    assert plan(SEQUENCE, state, "1.1.0.dev3+g1").target == version("1.1.0")


def test_to_cuts_below_the_application() -> None:
    """`--to` ends the plan at a version; it never goes above `app_version`."""
    new = done(SEQUENCE)
    state = database(new, x=new)
    made = plan(SEQUENCE, state, to="1.0.5")
    assert drawn(made) == "1.0.0 f1 f2 x:w4,w5 -s3"
    assert made.target == version("1.0.0")
    assert made.stop is None
    above = plan(SEQUENCE, state, "1.0.0", to="1.1.0")
    assert above.target == version("1.0.0")
    assert above.warnings == ("1.1.0 is above app_version: the run ends at 1.0.0",)


def test_slow_steps_are_deferred_and_named() -> None:
    """With nothing left beyond, there is no stop."""
    sequence = seq("1.0.0 f1 w2 | 1.1.0 s3 | 1.2.0 s4")
    new = done(sequence)
    made = plan(sequence, database(new, x=new))
    assert drawn(made) == "1.0.0 f1 x:w2 | 1.1.0 -s3 | 1.2.0 -s4"
    assert made.stop is None
    assert tokens(made.deferred) == "s3 s4"
    assert [one.is_empty for one in made.versions] == [False, True, True]


def test_after_slow_steps_wait_and_the_later_ones_do_not() -> None:
    """The other steps of the workspace run; how many workspaces wait is counted."""
    #   1.0.0 s1 │ a2 w3
    sequence = seq("1.0.0 s1 a2 w3")
    new = done(sequence)
    state = database(new, x=new, y=done(sequence, "w3"))
    made = plan(sequence, state)
    assert drawn(made) == "1.0.0 x:w3 -s1 ~a2"
    assert [count for _, count in made.versions[0].waiting] == [2]
    assert drawn(plan(sequence, state, include_slow=True)) == "1.0.0 s1 x:a2,w3 y:a2"


def test_after_slow_steps_run_when_the_slow_steps_are_done() -> None:
    """Without a flag, out of turn in the workspace."""
    sequence = seq("1.0.0 s1 a2 w3")
    made = plan(sequence, database(done(sequence, "s1"), x=done(sequence, "w3")))
    assert drawn(made) == "1.0.0 x:a2"


def test_workspaces_that_share_a_progress_share_their_steps() -> None:
    """Equal step tuples are one object."""
    new = done(SEQUENCE)
    tasks = plan(SEQUENCE, database(done(SEQUENCE, "f1 f2"), x=new, y=done(SEQUENCE))).versions[0].tasks
    assert tasks[0].steps is tasks[1].steps
    assert tasks[:1] == (tasks[0],)
    assert tasks != ()


def test_zero_workspaces_are_said() -> None:
    """An empty table counts as none, and the instance goes on."""
    made = plan(SEQUENCE, database(done(SEQUENCE)), include_slow=True)
    assert drawn(made) == "1.0.0 f1 f2 s3 | 1.1.0 f6"
    assert made.warnings == ("the workspace table core.workspace is empty: 0 workspaces",)


def test_zero_workspaces_are_not_worth_a_word_without_workspace_steps() -> None:
    """There is nothing that they would miss."""
    sequence = seq("1.0.0 f1")
    assert plan(sequence, database(done(sequence))).warnings == ()


def test_a_workspace_behind_the_others_is_late() -> None:
    """It is taken through a version that the instance or another workspace has gone past."""
    #   1.0.0 w1  ║  1.1.0 f2 │ w3  ║  1.2.0 w4
    sequence = seq("1.0.0 w1 | 1.1.0 f2 w3 | 1.2.0 w4")
    state = database(done(sequence, "f2"), x=done(sequence), y=done(sequence, "w1 w3 w4"))
    made = plan(sequence, state)
    assert drawn(made) == "1.0.0 x:w1 | 1.1.0 x:w3 | 1.2.0 x:w4"
    assert [one.late for one in made.versions] == [("x",), ("x",), ()]


def test_a_workspace_is_not_late_because_of_itself() -> None:
    """Its own later step does not make it late, another workspace's does."""
    sequence = seq("1.0.0 w1 | 1.1.0 w2")
    ahead = done(sequence, "w2")
    alone = plan(sequence, database(done(sequence), x=ahead), run_missing=True)
    assert [one.late for one in alone.versions] == [()]
    two = plan(sequence, database(done(sequence), x=ahead, y=ahead), run_missing=True)
    assert [one.late for one in two.versions] == [("x", "y")]
