"""A status from a survey. Where nothing failed, the store is not asked at all."""

import tracemalloc
from typing import Any, NoReturn

import pytest

from tests.unit.sequence.builders import database, done, options, seq
from upgrader.errors import UnknownWorkspaceError
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import Progress, Workspace
from upgrader.sequence.plan import RefusalReason
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member
from upgrader.status.build import StatusQuery, build_status
from upgrader.status.health import Health
from upgrader.status.report import StatusReport
from upgrader.survey import Survey
from upgrader.workspaces import WorkspaceListing

#   1.0.0 f1 s2 │ w3 a4  ║  1.1.0 f5 │ w6
SEQUENCE = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 w6")
ALL = done(SEQUENCE, "f1 s2 f5 w3 a4 w6")
NO_SLOW = done(SEQUENCE, "f1 f5 w3 w6")


def no_connection() -> NoReturn:
    raise AssertionError("the store was asked")


def status(
    state: DatabaseState,
    *ids: str,
    sequence: StepSequence = SEQUENCE,
    app: str = "1.1.0",
    failed_only: bool = False,
    **rest: Any,
) -> StatusReport:
    members = state.members
    workspaces = {
        m.workspace_id: Workspace(m.workspace_id, display_name=m.workspace_id.upper()) for m in members
    }
    return build_status(
        Survey(state, WorkspaceListing(exists=True), workspaces),
        sequence,
        store=SqlHistoryStore(no_connection, "upgrader"),
        options=options(app, **rest),
        query=StatusQuery(ids, failed_only),
    )


def test_everything_done_is_good() -> None:
    report = status(database(ALL, a=ALL, b=ALL))
    assert report.instance.health is Health.UP_TO_DATE
    assert report.summary == {**dict.fromkeys(Health, 0), Health.UP_TO_DATE: 2}
    assert str(report.target) == "1.1.0"
    assert report.is_good(include_slow=True)


def test_nothing_loaded_and_no_workspace_is_good() -> None:
    report = status(database(Progress()), sequence=StepSequence(()))
    assert report.target is None
    assert report.workspace_count == 0
    assert list(report.rows) == []
    assert report.is_good(include_slow=True)


def test_slow_steps_are_named_and_good_unless_asked_for() -> None:
    report = status(database(NO_SLOW, a=NO_SLOW))
    assert report.instance.health is report.rows[0].health is Health.SLOW_PENDING
    assert [step.class_name for step in report.deferred] == ["S2"]
    assert report.is_good()
    assert not report.is_good(include_slow=True)


def test_the_instance_counts_too() -> None:
    assert not status(database(done(SEQUENCE, "f1 s2"), a=ALL)).is_good()


def test_a_workspace_that_is_not_enrolled_is_told_and_not_good() -> None:
    report = status(database(ALL, a=ALL, b=Progress()))
    assert report.unenrolled == ("b",)
    assert [row.note for row in report.rows] == [None, "not enrolled"]
    assert report.rows[1].inferred_version is None
    assert [refusal.reason for refusal in report.refusals] == [RefusalReason.UNENROLLED_WORKSPACES]
    assert not report.is_good()
    assert status(database(ALL, a=ALL, b=Progress()), unenrolled_run_all=True).unenrolled == ()


def test_a_missing_step_is_told_and_not_good() -> None:
    report = status(database(done(SEQUENCE, "s2 f5"), a=ALL))
    assert [one.step.class_name for one in report.missing] == ["F1"]
    assert not report.is_good()


def test_a_refusal_with_nothing_pending_is_not_good() -> None:
    """A completed step that the code no longer has: `upgrade` would refuse."""
    report = status(database(done(SEQUENCE, "f1 s2 f5", gone=["1.0.0_Gone_9"]), a=ALL))
    assert report.instance.health is Health.UP_TO_DATE
    assert [refusal.reason for refusal in report.refusals] == [RefusalReason.COMPLETED_STEP_GONE]
    assert not report.is_good()


def test_ids_narrow_rows_and_goodness_but_not_the_summary() -> None:
    state = database(ALL, a=ALL, b=done(SEQUENCE, "w3"), c=Progress())
    report = status(state, "a")
    assert [row.display_name for row in report.rows] == ["A"]
    assert report.is_good()
    assert report.summary[Health.BEHIND] == 2
    assert report.unenrolled == ("c",)
    assert not status(state, "a", "b").is_good()
    assert not status(state, "c").is_good()


def test_failed_only_narrows_the_rows_alone() -> None:
    report = status(database(ALL, a=ALL, b=done(SEQUENCE, "w3")), failed_only=True)
    assert len(report.rows) == 0
    assert not report.is_good()


def test_an_unknown_id_is_an_error_that_says_where_to_look() -> None:
    state = database(ALL, a=ALL, others=[Member("x", ALL, "DELETED")])
    with pytest.raises(UnknownWorkspaceError, match="there is no workspace y") as caught:
        status(state, "a", "y")
    assert caught.value.hint is not None
    assert "upgrader workspace list" in caught.value.hint
    with pytest.raises(UnknownWorkspaceError, match="out of scope by status: x"):
        status(state, "x")


def test_a_hundred_thousand_workspaces_are_counted_by_progress() -> None:
    """Rows are made when they are read: the report adds little to what the survey holds."""
    kinds = [ALL, NO_SLOW, done(SEQUENCE, "w3")]
    members = [Member(f"w{number}", kinds[number % 3], "ACTIVE") for number in range(100_000)]
    state = DatabaseState(instance=NO_SLOW, members=members)
    workspaces = {member.workspace_id: Workspace(member.workspace_id) for member in state.members}
    survey = Survey(state, WorkspaceListing(exists=True), workspaces)
    tracemalloc.start()
    report = build_status(
        survey,
        SEQUENCE,
        store=SqlHistoryStore(no_connection, "upgrader"),
        options=options("1.1.0"),
        query=StatusQuery(),
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.summary[Health.BEHIND] == 33_333
    assert len(report.rows) == 100_000
    assert report.rows[-1].workspace_id == "w99999"
    assert [row.workspace_id for row in report.rows[1:3]] == ["w1", "w2"]
    assert peak < 10_000_000
