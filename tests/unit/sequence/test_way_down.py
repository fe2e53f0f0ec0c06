"""What a downgrade would take back, in which order, and what stands against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.sequence.builders import (
    database,
    done,
    drawn_down,
    reasons,
    refusal,
    seq,
    tokens,
    way_down,
)
from upgrader.model import AttemptStatus, Enrolment, Progress
from upgrader.sequence.plan import RefusalReason, StopReason
from upgrader.sequence.state import Member, Source

TWO = seq("1.0.0 f1 s2 w3 w4 | 1.1.0 f5 f6 s7 w8 w9")
ALL_INSTANCE, ALL_WORKSPACE = "f1 s2 f5 f6 s7", "w3 w4 w8 w9"


def everything_done(**more: Progress):
    return database(done(TWO, ALL_INSTANCE), a=done(TWO, ALL_WORKSPACE), b=done(TWO, ALL_WORKSPACE), **more)


class TestOrder:
    def test_the_way_down_mirrors_the_way_up(self):
        """Newest version first: workspaces, newest step first, then slow, then fast."""
        made = way_down(TWO, everything_done(), to="0.9.0")

        assert drawn_down(made) == "1.1.0 a:w9,w8 b:w9,w8 s7 f6 f5 | 1.0.0 a:w4,w3 b:w4,w3 s2 f1"
        assert (made.stop, made.refusals, made.warnings) == (None, (), ())

    def test_to_keeps_its_version(self):
        """What lies above a version is taken back, the version itself is kept."""
        assert drawn_down(way_down(TWO, everything_done(), to="1.0.0")) == "1.1.0 a:w9,w8 b:w9,w8 s7 f6 f5"

    def test_to_a_version_between(self):
        """The version need not have commands."""
        assert drawn_down(way_down(TWO, everything_done(), to="1.0.9")) == "1.1.0 a:w9,w8 b:w9,w8 s7 f6 f5"

    @pytest.mark.parametrize("to", ["1.1.0", "7.0.0"])
    def test_nothing_above(self, to: str):
        """There is nothing to take back."""
        made = way_down(TWO, everything_done(), to=to)
        assert (drawn_down(made), made.is_empty, made.steps, made.refusals) == ("", True, (), ())

    def test_without_history(self):
        """A database without a history has nothing to take back."""
        assert way_down(TWO, database(done(TWO), a=done(TWO)), to="0.1.0").is_empty

    def test_what_was_taken_back_and_failed_since_has_left_nothing(self):
        """Not even below an enrolment; a step that is not one transaction may have done half of its work."""
        a = done(TWO, "w3 w4", enrolment="1.1.0", again="w9")
        assert drawn_down(way_down(TWO, database(done(TWO), a=a), to="1.0.0")) == "1.1.0 a:w8"
        instance = done(TWO, "f1 s2 f5", again="s7 f6")
        assert drawn_down(way_down(TWO, database(instance), to="1.0.0")) == "1.1.0 s7 f5"

    def test_workspaces_keep_their_order_and_those_out_of_scope_come_last(self):
        """A workspace is taken back whatever its status is now."""
        other = Member("a0", done(TWO, "w3 w8"), "DELETED")
        made = way_down(TWO, database(done(TWO, "f5"), b=done(TWO, "w8"), others=[other]), to="1.0.0")
        assert drawn_down(made) == "1.1.0 b:w8 a0:w8 f5"


class TestSteps:
    @pytest.mark.parametrize(
        ("count", "drawing"),
        [
            (1, "1.1.0 a:w9 b:w9"),
            (2, "1.1.0 a:w9,w8 b:w9,w8"),
            (4, "1.1.0 a:w9,w8 b:w9,w8 s7 f6"),
            (6, "1.1.0 a:w9,w8 b:w9,w8 s7 f6 f5 | 1.0.0 a:w4 b:w4"),
        ],
    )
    def test_a_step_counts_once(self, count: int, drawing: str):
        """However many workspaces have it, it is one of the N."""
        assert drawn_down(way_down(TWO, everything_done(), steps=count)) == drawing

    def test_what_is_nowhere_does_not_count(self):
        """The last N are counted among what is completed somewhere."""
        state = database(done(TWO, "f1 s2 f5"), a=done(TWO, "w3 w4"), b=done(TWO, "w3", reverted="w4"))
        assert drawn_down(way_down(TWO, state, steps=2)) == "1.1.0 f5 | 1.0.0 a:w4"

    def test_more_than_there_is(self):
        """All of it, with a warning."""
        made = way_down(TWO, database(done(TWO, "f1")), steps=3)
        assert drawn_down(made) == "1.0.0 f1"
        assert made.warnings == ("3 steps asked for, 1 is there",)

    def test_names_settle_what_a_number_means(self):
        """A run that plans again takes back what it set out for, not the last N of what is left."""
        state = database(done(TWO, "f1 s2 f5 f6 s7"), a=done(TWO, "w3 w4 w8", reverted="w9"))
        names = frozenset(step.name for step in TWO if step.timestamp in (8, 9))
        assert drawn_down(way_down(TWO, state, steps=2, names=names)) == "1.1.0 a:w8"
        gone = database(done(TWO, "f1", gone=["0.5.0_Old_1"]), a=done(TWO, reverted="w8 w9"))
        assert way_down(TWO, gone, steps=2, names=names).refusals == ()


class TestWhatIsThere:
    def test_enrolled_past_it(self):
        """A workspace that was made in the shape of a release has its steps, though none ran on it."""
        made = way_down(TWO, database(done(TWO, ALL_INSTANCE), new=done(TWO, enrolment="1.1.0")), to="1.0.0")
        assert drawn_down(made) == "1.1.0 new:w9,w8 s7 f6 f5"

    def test_below_an_enrolment(self):
        """Going below the release in whose shape it was made takes those steps back there, too."""
        state = database(done(TWO, "f1 s2"), new=done(TWO, "w8 w9", enrolment="1.0.0"))
        assert drawn_down(way_down(TWO, state, to="0.1.0")) == "1.1.0 new:w9,w8 | 1.0.0 new:w4,w3 s2 f1"

    def test_reverted_is_gone_even_below_an_enrolment(self):
        """What was taken back is not taken back twice."""
        state = database(done(TWO), new=done(TWO, enrolment="1.1.0", reverted="w9"))
        assert drawn_down(way_down(TWO, state, to="1.0.0")) == "1.1.0 new:w8"

    def test_a_failed_transaction_left_nothing(self):
        """A transactional step that failed is not there; a slow one may be, in part."""
        state = database(done(TWO, "f5", failed="f6 s7"), a=done(TWO, failed="w8"))
        made = way_down(TWO, state, to="1.0.0")
        assert drawn_down(made) == "1.1.0 s7 f5"
        assert [(one.step.timestamp, one.status) for one in made.unfinished] == [(7, AttemptStatus.FAILED)]

    def test_half_of_a_step_without_a_transaction(self):
        """It may be there after a failure, in some workspaces; the plan names it with their number."""
        sequence = seq("1.0.0 w1* w2")
        state = database(
            done(sequence),
            a=done(sequence, failed="w1 w2"),
            b=done(sequence, failed="w1"),
            c=done(sequence, "w1"),
        )
        made = way_down(sequence, state, to="0.1.0")
        assert drawn_down(made) == "1.0.0 a:w1 b:w1 c:w1"
        assert [(one.step.timestamp, one.workspaces) for one in made.unfinished] == [(1, 2)]

    def test_half_taken_back(self):
        """An attempt to take it back that was cut off is made again, also below an enrolment."""
        sequence = seq("1.0.0 f1* w2*")
        state = database(
            done(sequence, half="f1"),
            a=done(sequence, half="w2"),
            b=done(sequence, enrolment="1.0.0", half="w2"),
        )
        assert drawn_down(way_down(sequence, state, to="0.1.0")) == "1.0.0 a:w2 b:w2 f1"


class TestBarrier:
    def test_a_failed_workspace_holds_the_instance(self):
        """Nothing of the instance, and nothing older, before every workspace is back."""
        made = way_down(TWO, everything_done(), to="0.9.0", attempted=["a"])

        assert drawn_down(made) == "1.1.0 b:w9,w8"
        assert made.stop is not None
        assert (made.stop.reason, made.stop.workspace_ids) == (StopReason.WORKSPACES_LEFT, ("a",))
        assert made.stop.message == "stopped behind the workspace steps of 1.1.0: 1 workspace is not back: a"

    def test_a_failed_workspace_that_is_the_last_holds_nothing(self):
        """With nothing beyond there is no barrier."""
        state = database(done(TWO), a=done(TWO, "w8"), b=done(TWO, "w8"))
        assert way_down(TWO, state, to="1.0.0", attempted=["a"]).stop is None

    def test_a_workspace_that_appears_without_enrolment_holds_the_instance(self):
        """What it has is unknown."""
        made = way_down(TWO, everything_done(new=Progress()), to="1.0.0", under_way=True)
        assert drawn_down(made) == "1.1.0 a:w9,w8 b:w9,w8"
        assert made.stop is not None
        assert made.stop.workspace_ids == ("new",)


class TestFilters:
    def test_one_segment_of_the_selected(self):
        """The newest segment in which a selected workspace has something; never the instance's steps."""
        made = way_down(TWO, everything_done(), to="0.9.0", only=["a"])

        assert drawn_down(made) == "1.1.0 a:w9,w8"
        assert made.stop is not None
        assert (made.stop.reason, made.stop.workspace_ids) == (StopReason.FILTERED, ("b",))
        assert made.stop.message == (
            "the filter leaves 1 workspace in 1.1.0: b; an unfiltered downgrade would take these back, "
            "then take back 3 instance steps of 1.1.0"
        )

    def test_everyone_selected(self):
        """A filter that leaves nobody still leaves the instance."""
        made = way_down(TWO, everything_done(), to="0.9.0", start_from="a")
        assert drawn_down(made) == "1.1.0 a:w9,w8 b:w9,w8"
        assert made.stop is not None
        assert made.stop.workspace_ids == ()

    @pytest.mark.parametrize(
        "state",
        [
            database(done(TWO, "f1 s2 f5"), a=done(TWO, "w3 w4")),
            database(done(TWO, "f1 s2"), a=done(TWO, "w3 w4"), b=done(TWO, ALL_WORKSPACE)),
        ],
    )
    def test_newer_versions_come_first(self, state):
        """A newer instance step, or another workspace's newer step, closes the way."""
        assert reasons(way_down(TWO, state, to="0.9.0", only=["a"])) == [
            RefusalReason.SELECTION_BEHIND_BARRIER
        ]

    def test_nothing_selected(self):
        """A selection with nothing to take back stops without an error."""
        state = database(done(TWO, "f5"), a=done(TWO, "w8"), b=done(TWO))
        made = way_down(TWO, state, to="1.0.0", only=["b"])
        assert (made.is_empty, made.refusals) == (True, ())
        assert made.stop is not None
        assert made.stop.reason is StopReason.FILTERED

    def test_out_of_scope_can_be_selected(self):
        """The way down is everybody's."""
        other = Member("z", done(TWO, "w8"), "DELETED")
        made = way_down(TWO, database(done(TWO), others=[other]), to="1.0.0", only=["z"])
        assert drawn_down(made) == "1.1.0 z:w8"

    def test_unknown_workspace(self):
        """An id that is not there is refused."""
        made = way_down(TWO, everything_done(), to="1.0.0", only=["nobody"])
        assert reasons(made) == [RefusalReason.UNKNOWN_WORKSPACE]


class TestRefusals:
    def test_irreversible(self):
        """The whole way is looked at: what has no way down is named, and how far one may go."""
        sequence = seq("1.0.0 f1! w2 | 1.1.0 f3! f4 | 1.2.0 f5 w6!")
        state = database(done(sequence, "f1 f3 f4 f5"), a=done(sequence, "w2"))
        found = refusal(way_down(sequence, state, to="0.9.0"), RefusalReason.IRREVERSIBLE)

        assert found.subjects == ("1.1.0_F3_3", "1.0.0_F1_1")
        assert "`upgrader downgrade --to 1.1.0`" in found.hint
        assert way_down(sequence, state, to="1.1.0").refusals == ()

    def test_below_the_instances_baseline(self):
        """What was adopted was never run."""
        state = database(done(TWO, "f5", baseline="1.0.0"), a=done(TWO, "w8", baseline="1.0.0"))
        found = refusal(way_down(TWO, state, to="0.9.0"), RefusalReason.BELOW_BASELINE)
        assert found.subjects == ("instance", "a")
        assert found.hint.endswith("`upgrader downgrade --to 1.0.0`")
        assert way_down(TWO, state, to="1.0.0").refusals == ()
        assert way_down(TWO, state, steps=2).refusals == ()
        assert reasons(way_down(TWO, state, steps=3)) == [RefusalReason.BELOW_BASELINE]

    def test_below_one_workspaces_baseline(self):
        """The instance may not be taken from below a workspace that was adopted."""
        state = database(done(TWO, ALL_INSTANCE), a=done(TWO, baseline="1.1.0"))
        assert refusal(way_down(TWO, state, to="1.0.0"), RefusalReason.BELOW_BASELINE).subjects == ("a",)
        assert reasons(way_down(TWO, state, steps=1)) == [RefusalReason.BELOW_BASELINE]

    def test_dormant(self):
        """Steps above app_version are taken back by the newer code, before the application goes back."""
        made = way_down(TWO, everything_done(), app="1.0.0", to="0.9.0")
        found = refusal(made, RefusalReason.AHEAD)
        assert found.subjects == tuple(step.name for step in reversed(TWO.steps) if step.timestamp >= 5)
        assert "before the application goes back" in found.hint
        assert "release 1.1.0" in found.hint

    @pytest.mark.parametrize("count", [1, 9])
    def test_ahead_without_code(self, count: int):
        """A completed step of a later version that the code does not have is on the way, too."""
        sequence = seq("1.0.0 f1 w3")
        state = database(done(sequence, "f1", gone=["1.1.0_Later_1"]), a=done(sequence, "w3"))
        assert reasons(way_down(sequence, state, app="1.0.0", steps=count)) == [RefusalReason.AHEAD]
        assert reasons(way_down(sequence, state, app="1.0.0", to="0.1.0")) == [RefusalReason.AHEAD]

    def test_gone(self):
        """A completed step that the code has no longer cannot be taken back."""
        state = database(done(TWO, "f1", gone=["0.5.0_Old_1"]))
        found = refusal(way_down(TWO, state, to="0.4.0"), RefusalReason.COMPLETED_STEP_GONE)
        assert found.subjects == ("0.5.0_Old_1",)
        assert way_down(TWO, state, to="0.5.0").refusals == ()
        assert way_down(TWO, state, steps=1).refusals == ()

    def test_half_taken_back_and_gone(self):
        """So is one that is half taken back."""
        gone = Progress(
            Enrolment(),
            open={"1.0.5_Gone_1": AttemptStatus.FAILED},
            half_reverted=frozenset(["1.0.5_Gone_1"]),
        )
        made = way_down(TWO, database(gone), to="1.0.0")
        assert refusal(made, RefusalReason.COMPLETED_STEP_GONE).subjects == ("1.0.5_Gone_1",)

    def test_unenrolled(self):
        """What is to be taken back in a workspace that nobody enrolled is unknown."""
        state = everything_done(new=Progress())
        found = refusal(way_down(TWO, state, to="1.0.0"), RefusalReason.UNENROLLED_WORKSPACES)
        assert found.subjects == ("new",)
        assert way_down(TWO, state, to="1.0.0", unenrolled_run_all=True).refusals == ()
        assert way_down(TWO, state, to="1.1.0").refusals == ()

    def test_without_a_workspace_table(self):
        """No accidental emptiness: the workspaces would keep the newer shape."""
        state = replace(everything_done(), members=[], source=Source.ABSENT)
        assert reasons(way_down(TWO, state, to="0.9.0")) == [RefusalReason.NO_WORKSPACE_SOURCE]

    def test_the_workspace_table_was_taken_back_on_the_way(self):
        """A downgrade goes on behind the step that had made the table."""
        made = way_down(
            TWO, replace(database(done(TWO, "f1", reverted="s2")), source=Source.ABSENT), to="0.9.0"
        )
        assert (drawn_down(made), made.refusals) == ("1.0.0 f1", ())

    def test_enrolled_above_the_application(self):
        """It is said that what a later release made there stays."""
        made = way_down(
            TWO, database(done(TWO, "f5"), a=done(TWO, "w8", enrolment="2.0.0")), app="1.1.0", to="1.0.0"
        )
        assert made.warnings == (
            "1 workspace enrolled above app_version 1.1.0: a; what later releases changed there stays",
        )
        assert tokens(made.steps) == "w9 w8 f5"
