"""Why something is not where it should be: values in, an explanation out."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.sequence.builders import database, done, options, seq
from upgrader.errors import OperatorError, UnknownWorkspaceError
from upgrader.history.store import AttemptFilter
from upgrader.model import (
    INSTANCE,
    Attempt,
    AttemptStatus,
    Enrolment,
    Progress,
    Quarantine,
    Scope,
    Workspace,
)
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member
from upgrader.status.case import Case
from upgrader.status.explanation import Cause, Explanation, Subject
from upgrader.status.running import RunningUpgrade
from upgrader.status.why import explain
from upgrader.version import ReleaseVersion

#   1.0.0 f1 s2 │ w3 a4  ║  1.1.0 f5 │ w6 w7  ║  1.2.0 w8
SEQUENCE = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 w6 w7 | 1.2.0 w8")
ALL_INSTANCE = done(SEQUENCE, "f1 s2 f5")
ALL = done(SEQUENCE, "w3 a4 w6 w7 w8")
AT_1_0 = done(SEQUENCE, "w3 a4")
FAILED = done(SEQUENCE, "w3 a4", failed="w6")
NOW = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)


class Attempts:
    """The attempts of a hand-made history, with what was asked for."""

    def __init__(self, *attempts: Attempt) -> None:
        self._attempts = attempts
        self.asked: list[str | None] = []

    def latest_open(self, scopes: Iterable[Scope], *, step: str | None = None) -> Iterator[Attempt]:
        wanted = list(scopes)
        self.asked += [scope.workspace_id for scope in wanted]
        return (one for one in self._attempts if one.scope in wanted and step in (None, one.name))

    def attempts(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        assert wanted.limit == 1
        return (one for one in self._attempts if one.name == wanted.step and one.status is wanted.status)


def attempt(name: str, workspace_id: str | None, status: str = "failed", number: int = 1) -> Attempt:
    return Attempt(
        name=name,
        kind="workspace",
        version="1.1.0",
        scope=Scope(workspace_id),
        status=AttemptStatus(status),
        attempt=number,
        executed_by_version="1.2.0",
        checksum="",
        error_message="ValueError: bad rows" if status == "failed" else "not now",
        finished_at=NOW,
    )


def why(
    name: str,
    state: DatabaseState,
    *attempts: Attempt,
    app: str = "1.2.0",
    subject: Subject | None = None,
    running: bool = False,
    sequence: StepSequence = SEQUENCE,
    **rest: Any,
) -> Explanation:
    everybody = [*state.members, *state.quarantined, *state.others]
    return explain(
        Case(
            sequence,
            state,
            options(app, **rest),
            Attempts(*attempts),
            {
                m.workspace_id: Workspace(m.workspace_id, display_name=f"{m.workspace_id} Ltd")
                for m in everybody
            },
            RunningUpgrade(pid=42) if running else None,
        ),
        name,
        subject=subject,
    )


def causes(found: Explanation) -> list[Cause]:
    return [reason.cause for reason in found.reasons]


def opened(progress: Progress, name: str, status: AttemptStatus, **rest: Any) -> Progress:
    return replace(progress, open={**progress.open, name: status}, **rest)


class TestWorkspace:
    def test_up_to_date(self):
        """Nothing is wrong, and there is nothing to type."""
        found = why("a", database(ALL_INSTANCE, a=ALL))
        assert causes(found) == [Cause.UP_TO_DATE]
        assert found.is_fine
        assert found.next == ()
        assert (found.version, found.target) == ("1.2.0", "1.2.0")
        assert found.title == "workspace a (a Ltd)"

    def test_dormant_steps_are_told_where_nothing_else_is(self):
        """The release that they belong to is not deployed."""
        found = why("a", database(ALL_INSTANCE, a=done(SEQUENCE, "w3 a4 w6 w7")), app="1.1.0")
        assert causes(found) == [Cause.UP_TO_DATE, Cause.DORMANT]
        assert found.is_fine
        assert found.reasons[1].steps == ("1.2.0_W8_8",)

    def test_ahead(self):
        """The application was rolled back."""
        found = why("a", database(ALL_INSTANCE, a=ALL), app="1.1.0")
        assert causes(found)[0] is Cause.AHEAD
        assert found.is_fine

    def test_failed_says_at_what_when_how_often_and_what_waits(self):
        """And that it holds everybody else up."""
        found = why("a", database(ALL_INSTANCE, a=FAILED, b=AT_1_0), attempt("1.1.0_W6_6", "a", number=3))
        assert causes(found) == [Cause.FAILED]
        (reason,) = found.reasons
        assert "2 more steps of this workspace wait behind it" in reason.message
        assert "nothing of 1.2.0 starts anywhere" in reason.message
        (one,) = reason.tries
        assert (one.step, one.attempt, one.at, one.error) == ("1.1.0_W6_6", 3, NOW, "ValueError: bad rows")
        assert "upgrader upgrade -w a" in found.next[0]
        assert not found.is_fine

    @pytest.mark.parametrize(
        ("status", "running", "cause"),
        [
            (AttemptStatus.INTERRUPTED, False, Cause.INTERRUPTED),
            (AttemptStatus.RUNNING, False, Cause.INTERRUPTED),
            (AttemptStatus.RUNNING, True, Cause.RUNNING),
            (AttemptStatus.SKIPPED, False, Cause.SKIPPED),
            (AttemptStatus.REVERTED, False, Cause.TAKEN_BACK),
        ],
    )
    def test_other_ends_of_an_attempt(self, status: AttemptStatus, running: bool, cause: Cause):
        """A running attempt of a dead run was cut off."""
        state = database(ALL_INSTANCE, a=opened(AT_1_0, "1.1.0_W6_6", status))
        found = why("a", state, attempt("1.1.0_W6_6", "a", status.value), running=running)
        assert cause in causes(found)
        assert (Cause.RUN_AT_WORK in causes(found)) is running

    def test_half_taken_back(self):
        """A downgrade did not come to its end."""
        progress = opened(AT_1_0, "1.1.0_W6_6", AttemptStatus.FAILED, half_reverted=frozenset(["1.1.0_W6_6"]))
        found = why("a", database(ALL_INSTANCE, a=progress))
        assert "half taken back" in found.reasons[0].message

    def test_barrier_that_others_hold_names_the_failed_first_and_counts_the_rest(self):
        """Five names at most."""
        members = {f"m{number}": AT_1_0 for number in range(8)}
        state = database(ALL_INSTANCE, a=done(SEQUENCE, "w3 a4 w6 w7"), **members, z=FAILED)
        found = why("a", state)
        assert causes(found) == [Cause.BEHIND_WORKSPACES]
        (reason,) = found.reasons
        assert reason.workspace_ids == ("z", "m0", "m1", "m2", "m3")
        assert (reason.workspace_count, reason.failed_count) == (9, 1)
        assert "the barrier before 1.2.0 is closed: 9 other workspaces" in reason.message
        assert "`upgrader why z`" in found.next[0]

    def test_others_that_a_run_takes_along_are_no_trouble(self):
        """What to type is the upgrade."""
        found = why("a", database(ALL_INSTANCE, a=done(SEQUENCE, "w3 a4 w6 w7"), b=AT_1_0))
        assert "a run takes it along" in found.reasons[0].message
        assert found.next == ("`upgrader upgrade` runs what is pending; `upgrader plan` shows it first",)

    def test_waiting_for_slow_steps_tells_the_next_barrier_too(self):
        """The step that waits, and the barrier before the step after it."""
        state = database(done(SEQUENCE, "f1 f5"), a=done(SEQUENCE, "w3"))
        found = why("a", state)
        assert causes(found) == [Cause.WAITS_FOR_SLOW, Cause.BEHIND_SLOW]
        assert found.reasons[0].steps == ("1.0.0_S2_2",)
        assert found.next == ("`upgrader upgrade --include-slow` when there is time for slow steps",)

    def test_instance_that_failed_comes_first(self):
        """Its step is named, and what to ask next."""
        state = database(done(SEQUENCE, "f1 s2", failed="f5"), a=AT_1_0)
        found = why("a", state)
        assert causes(found) == [Cause.BEHIND_INSTANCE]
        assert found.reasons[0].steps == ("1.1.0_F5_5",)
        assert found.next == ("`upgrader why 1.1.0_F5_5` says why that step is not done",)

    def test_missing(self):
        """Later steps are done in it."""
        found = why("a", database(ALL_INSTANCE, a=done(SEQUENCE, "w3 a4 w7 w8")))
        assert causes(found) == [Cause.MISSING]
        assert "--include-missing" in found.next[0]

    def test_late_and_pending(self):
        """The one where others are past it, the other where nobody is."""
        late = why("a", database(ALL_INSTANCE, a=AT_1_0, b=ALL))
        assert causes(late) == [Cause.LATE]
        assert causes(why("a", database(ALL_INSTANCE, a=AT_1_0, b=AT_1_0))) == [Cause.PENDING]

    def test_not_enrolled(self):
        """Both ways to enrol it; what else would be refused is not told."""
        found = why("a", database(ALL_INSTANCE, a=Progress(), b=ALL))
        assert causes(found) == [Cause.NOT_ENROLLED]
        assert "--at start" in found.next[0]
        assert "--at VERSION" in found.next[1]

    def test_runs_that_would_be_refused_for_another_workspace(self):
        """With the ids, and what to type for those."""
        found = why("b", database(ALL_INSTANCE, a=Progress(), b=AT_1_0))
        assert Cause.RUN_REFUSED in causes(found)
        refused = next(one for one in found.reasons if one.cause is Cause.RUN_REFUSED)
        assert refused.workspace_ids == ("a",)
        assert any("workspace enroll a" in one for one in found.next)

    def test_out_of_scope(self):
        """By its status; what will run when it returns is counted."""
        state = database(ALL_INSTANCE, a=ALL, others=[Member("gone", AT_1_0, "DELETED")])
        found = why("gone", state)
        assert causes(found) == [Cause.OUT_OF_SCOPE]
        assert "DELETED" in found.reasons[0].message
        assert "3 steps" in found.reasons[0].message

    def test_quarantined(self):
        """By whom and why, what it misses, and the failure behind it."""
        quarantine = Quarantine("disk full", "root on host", NOW, "1.2.0")
        state = replace(
            database(ALL_INSTANCE, b=ALL), quarantined=[Member("a", FAILED, "ACTIVE", quarantine)]
        )
        found = why("a", state, attempt("1.1.0_W6_6", "a"))
        assert causes(found) == [Cause.QUARANTINED, Cause.FAILED]
        assert "disk full" in found.reasons[0].message
        assert "1.1.0" in found.reasons[0].message
        assert "workspace release a" in found.next[0]

    def test_quarantined_that_the_code_no_longer_covers(self):
        """It cannot be released; the version to go to first is in the hint."""
        old = done(SEQUENCE, enrolment="0.8.0", through="0.8.0")
        quarantine = Quarantine("x", "y", NOW, "0.9.0")
        mark = replace(ALL_INSTANCE, enrolment=Enrolment(ReleaseVersion.parse("0.9.0")))
        state = replace(database(mark, b=ALL), quarantined=[Member("a", old, "ACTIVE", quarantine)])
        found = why("a", state)
        assert Cause.RUN_REFUSED in causes(found)
        assert not any("workspace release" in one for one in found.next)
        assert any("upgrade to 0.9.0 first" in one for one in found.next)


class TestStep:
    def test_completed_everywhere(self):
        """With the last time."""
        found = why("W6", database(ALL_INSTANCE, a=ALL, b=ALL), attempt("1.1.0_W6_6", "b", "completed"))
        assert causes(found) == [Cause.COMPLETED]
        assert "nothing is wrong" in found.reasons[0].message
        assert found.reasons[0].tries[0].at == NOW
        assert found.is_fine

    def test_failed_somewhere_reads_only_the_first_few(self):
        """A history of thousands is not read for five lines."""
        state = database(ALL_INSTANCE, a=ALL, **{f"m{number}": FAILED for number in range(9)})
        attempts = Attempts(attempt("1.1.0_W6_6", "m0"))
        found = explain(Case(SEQUENCE, state, options("1.2.0"), attempts), "1.1.0_W6_6")
        assert causes(found) == [Cause.COMPLETED, Cause.FAILED]
        assert attempts.asked == ["m0", "m1", "m2", "m3", "m4"]
        assert found.reasons[1].workspace_count == 9
        assert "-w m0" in found.next[0]

    def test_every_group_is_told(self):
        """Done, counted as done, failed, behind, not enrolled, out of scope, quarantined."""
        quarantine = Quarantine("x", "y", NOW, "1.2.0")
        state = replace(
            database(
                ALL_INSTANCE,
                done=ALL,
                covered=done(SEQUENCE, enrolment="1.2.0"),
                failed=done(SEQUENCE, "w3 a4 w6", failed="w7"),
                behind=FAILED,
                new=Progress(),
                others=[Member("gone", AT_1_0, "DELETED")],
            ),
            quarantined=[Member("aside", AT_1_0, "ACTIVE", quarantine)],
        )
        found = why("1.1.0_W7_7", state)
        groups = {one.cause: one.workspace_ids for one in found.reasons}
        assert groups[Cause.COUNTS_AS_DONE] == ("covered",)
        assert groups[Cause.FAILED] == ("failed",)
        assert groups[Cause.EARLIER_STEP] == ("behind",)
        assert groups[Cause.NOT_ENROLLED] == ("new",)
        assert groups[Cause.OUT_OF_SCOPE] == ("gone",)
        assert groups[Cause.QUARANTINED] == ("aside",)
        assert "in 1 of 5 workspaces" in found.reasons[0].message

    def test_barrier_before_its_version(self):
        """Whoever holds it."""
        found = why("W8", database(ALL_INSTANCE, a=done(SEQUENCE, "w3 a4 w6 w7"), b=FAILED))
        assert causes(found) == [Cause.EARLIER_STEP, Cause.BEHIND_WORKSPACES, Cause.PENDING]

    def test_after_slow(self):
        """Named with the slow step."""
        found = why("A4", database(done(SEQUENCE, "f1"), a=done(SEQUENCE, "w3")))
        assert causes(found)[0] is Cause.WAITS_FOR_SLOW

    def test_instance_steps(self):
        """Completed, covered by a baseline, failed, slow, behind."""
        assert causes(why("F1", database(ALL_INSTANCE), attempt("1.0.0_F1_1", None, "completed"))) == [
            Cause.COMPLETED
        ]
        assert causes(why("F1", database(done(SEQUENCE, enrolment="1.0.0")))) == [Cause.COUNTS_AS_DONE]
        assert causes(why("F5", database(done(SEQUENCE, "f1 s2", failed="f5")))) == [Cause.FAILED]
        assert causes(why("S2", database(done(SEQUENCE, "f1")))) == [Cause.SLOW]
        assert causes(why("F5", database(done(SEQUENCE, "f1"), a=done(SEQUENCE)))) == [
            Cause.BEHIND_SLOW,
            Cause.BEHIND_WORKSPACES,
        ]
        assert causes(why("F1", database(done(SEQUENCE)))) == [Cause.PENDING]

    def test_dormant(self):
        """It belongs to a release that is not deployed."""
        found = why("W8", database(ALL_INSTANCE, a=ALL), app="1.1.0")
        assert causes(found) == [Cause.DORMANT]
        assert found.is_fine

    def test_no_longer_in_the_code(self):
        """Completed once, gone now."""
        gone = done(SEQUENCE, "w3 a4 w6 w7 w8", gone=["1.1.0_Old_9"])
        found = why("1.1.0_Old_9", database(ALL_INSTANCE, a=gone))
        assert causes(found)[0] is Cause.NO_LONGER_IN_CODE
        assert not found.is_fine

    @pytest.mark.parametrize("name", ["1.1.0_W6_6", "W6", "6"])
    def test_is_found_by_full_name_class_name_and_timestamp(self, name: str):
        """All three name it."""
        assert why(name, database(ALL_INSTANCE, a=ALL)).name == "1.1.0_W6_6"


class TestNames:
    def test_both_a_step_and_a_workspace(self):
        """The step, unless the other is asked for."""
        state = database(ALL_INSTANCE, W6=ALL)
        found = why("W6", state)
        assert found.subject is Subject.STEP
        assert "--workspace" in found.next[-1]
        assert why("W6", state, subject=Subject.WORKSPACE).subject is Subject.WORKSPACE

    def test_several_steps_of_one_name(self):
        """The full names are listed."""
        sequence = seq("1.0.0 w3 | 1.1.0 f3")
        with pytest.raises(OperatorError, match=r"1\.0\.0_W3_3, 1\.1\.0_F3_3"):
            why("3", database(done(sequence)), sequence=sequence)

    def test_unknown_names_the_nearest(self):
        """Of both kinds, or of the one that is asked for; a display name leads to its id."""
        state = database(ALL_INSTANCE, acme=ALL)
        for name, near in (("acmee", "acme"), ("ACME ltd", "acme"), ("1.1.0_W6_5", "1.1.0_W6_6")):
            with pytest.raises(UnknownWorkspaceError) as caught:
                why(name, state)
            assert f"did you mean {near}" in str(caught.value.hint)
        with pytest.raises(OperatorError, match="no step acme"):
            why("acme", state, subject=Subject.STEP)
        with pytest.raises(UnknownWorkspaceError, match="no workspace W6"):
            why("W6", state, subject=Subject.WORKSPACE)


def test_instance_is_a_scope_of_its_own():
    """The attempts of the instance are those without a workspace."""
    state = database(done(SEQUENCE, "f1 s2", failed="f5"))
    found = why("F5", state, attempt("1.1.0_F5_5", INSTANCE.workspace_id))
    assert found.reasons[0].tries[0].workspace_id is None
