"""What every history store makes of attempts to take a step back, in SQL and in memory alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conformance.test_history_store import FIRST, SECOND, V1, V2, A, B, attempt, progress, record
from upgrader.command import CommandKind
from upgrader.history.store import AttemptFilter, HistoryStore
from upgrader.model import INSTANCE, Attempt, AttemptStatus, Direction, Enrolment, Scope, Step

RUNNING, FAILED, SKIPPED = AttemptStatus.RUNNING, AttemptStatus.FAILED, AttemptStatus.SKIPPED
INTERRUPTED, REVERTED = AttemptStatus.INTERRUPTED, AttemptStatus.REVERTED

_STEP = Step(FIRST, CommandKind.WORKSPACE, V1, 1, "First")


def down(status: AttemptStatus, number: int, scope: Scope = A, *, changes_state: bool = True) -> Attempt:
    made = attempt(FIRST, scope, number, status)
    return replace(made, direction=Direction.DOWN, changes_state=changes_state)


def test_rows_come_back_as_they_were_kept(store: HistoryStore):
    """Direction and effect are columns."""
    record(store, attempt(scope=A), down(FAILED, 2, changes_state=False), down(REVERTED, 3))

    rows = [(row.direction, row.changes_state) for row in store.attempts(AttemptFilter())]
    assert rows == [(Direction.DOWN, True), (Direction.DOWN, False), (Direction.UP, True)]


def test_reverted_is_open_and_not_half_done(store: HistoryStore):
    """A step that was taken back is pending again."""
    record(store, attempt(scope=A), down(REVERTED, 2))

    found = progress(store, A)
    assert (found.completed, found.open, found.half_reverted) == (frozenset(), {FIRST: REVERTED}, frozenset())


@pytest.mark.parametrize("scope", [INSTANCE, A])
@pytest.mark.parametrize("status", [FAILED, INTERRUPTED, SKIPPED])
def test_an_attempt_of_which_nothing_was_kept_leaves_the_state(
    store: HistoryStore, status: AttemptStatus, scope: Scope
):
    """A transactional way down that failed leaves the step completed; its number is taken all the same."""
    record(store, attempt(scope=scope), down(status, 2, scope, changes_state=False))

    assert progress(store, scope).completed == {FIRST}
    assert list(store.latest_open([scope])) == []
    assert store.last_attempt(FIRST, scope) == 2


def test_nor_does_it_make_one_where_there_is_none(store: HistoryStore):
    """In a workspace that is enrolled past the step the failed attempt is the first one."""
    store.mark(Enrolment(V1), [A], label="enrolment", executed_by="1.0.0")
    record(store, down(FAILED, 1, changes_state=False))

    assert (progress(store, A).completed, progress(store, A).open) == (frozenset(), {})


@pytest.mark.parametrize("status", [FAILED, INTERRUPTED])
def test_half_taken_back(store: HistoryStore, status: AttemptStatus):
    """An attempt without a transaction says that it began, and may end with half of its work done."""
    store.mark(Enrolment(V1), [A, B], label="enrolment", executed_by="1.0.0")
    store.start(down(RUNNING, 1))
    assert progress(store, A).half_reverted == {FIRST}
    assert store.interrupt_running() == 1
    assert (progress(store, A).open, progress(store, A).half_reverted) == ({FIRST: INTERRUPTED}, {FIRST})

    store.start(down(RUNNING, 2))
    store.finish(down(status, 2), is_running=True)
    assert progress(store, A).half_reverted == {FIRST}
    store.start(down(RUNNING, 3))
    store.finish(down(REVERTED, 3), is_running=True)
    assert progress(store, A).half_reverted == frozenset()


@pytest.mark.parametrize("back", [REVERTED, INTERRUPTED, FAILED])
@pytest.mark.parametrize("status", [FAILED, INTERRUPTED, SKIPPED, RUNNING])
def test_taken_back_and_tried_again_in_vain(store: HistoryStore, status: AttemptStatus, back: AttemptStatus):
    """The step stays pending below an enrolment, through any number of tries, until it is completed again."""
    store.mark(Enrolment(V1), [A, B], label="enrolment", executed_by="1.0.0")
    record(store, down(back, 1))
    store.start(attempt(FIRST, A, 2, RUNNING))
    assert progress(store, A).tried_again == {FIRST}
    if status is not RUNNING:
        store.finish(attempt(FIRST, A, 2, status), is_running=True)

    found = progress(store, A)
    assert (found.open, found.half_reverted) == ({FIRST: status}, frozenset())
    assert (found.tried_again, found.taken_back, found.is_done(_STEP)) == ({FIRST}, {FIRST}, False)
    record(store, attempt(FIRST, A, 3, FAILED), attempt(FIRST, A, 4))
    assert (progress(store, A).taken_back, progress(store, A).is_done(_STEP)) == (frozenset(), True)


def test_what_failed_before_a_mark_and_was_never_taken_back_counts_as_done(store: HistoryStore):
    """A baseline says that it is done; a completion in between ends an earlier way back."""
    failed = attempt(FIRST, A, 1, FAILED)
    record(store, failed, attempt(FIRST, B), down(REVERTED, 2, B), attempt(FIRST, B, 3))
    record(store, attempt(FIRST, B, 4, FAILED))
    store.mark(Enrolment(V1), [A, B], label="baseline", executed_by="1.0.0")

    workspaces = store.snapshot().workspaces
    assert workspaces["a"] is workspaces["b"]
    assert (workspaces["a"].open, workspaces["a"].tried_again) == ({FIRST: FAILED}, frozenset())
    assert workspaces["a"].is_done(_STEP)


def test_scopes_with_and_without_a_way_back_do_not_share_a_state(store: HistoryStore):
    """Both failed last; in one the step had been taken back before."""
    store.mark(Enrolment(V1), [A, B], label="enrolment", executed_by="1.0.0")
    record(store, attempt(FIRST, A, 1, FAILED), attempt(FIRST, A, 2, FAILED))
    record(store, down(REVERTED, 1, B), attempt(FIRST, B, 2, FAILED))

    assert (progress(store, A).is_done(_STEP), progress(store, B).is_done(_STEP)) == (True, False)


def test_a_way_back_of_which_nothing_was_kept_leaves_a_later_failure_alone(store: HistoryStore):
    """It took nothing back."""
    store.mark(Enrolment(V1), [A], label="enrolment", executed_by="1.0.0")
    record(store, down(FAILED, 1, changes_state=False), attempt(FIRST, A, 2, FAILED))

    assert progress(store, A).taken_back == frozenset()


def test_an_earlier_life_of_an_id_took_nothing_back(store: HistoryStore):
    """What was taken back before a workspace was forgotten says nothing of the new one."""
    store.mark(Enrolment(V1), [A], label="enrolment", executed_by="1.0.0")
    record(store, down(REVERTED, 1))
    store.forget("a")
    store.mark(Enrolment(V1), [A], label="enrolment", executed_by="1.0.0")
    record(store, attempt(FIRST, A, 1, FAILED))

    assert (progress(store, A).taken_back, progress(store, A).is_done(_STEP)) == (frozenset(), True)


def test_the_two_directions_are_told_apart_between_scopes(store: HistoryStore):
    """Scopes with the same statuses do not share a state where one went up and the other down."""
    store.mark(Enrolment(V1), [A, B], label="enrolment", executed_by="1.0.0")
    store.start(attempt(FIRST, A, 1, RUNNING))
    store.start(down(RUNNING, 1, B))
    store.interrupt_running()

    assert progress(store, A).half_reverted == frozenset()
    assert progress(store, B).half_reverted == {FIRST}


def test_up_again(store: HistoryStore):
    """Attempts count on, and scopes that went up again share their state with those that never went down."""
    record(store, attempt(scope=A), attempt(SECOND, A), down(REVERTED, 2), attempt(FIRST, A, 3))
    record(store, attempt(FIRST, B), attempt(SECOND, B))

    workspaces = store.snapshot().workspaces
    assert workspaces["a"] is workspaces["b"]
    assert workspaces["a"].completed == {FIRST, SECOND}


def test_a_baseline_is_told_from_an_enrolment(store: HistoryStore):
    """The way down ends at the one and not at the other; the latest mark counts."""
    store.mark(Enrolment(V1), [INSTANCE, A], label="baseline", executed_by="1.0.0")
    store.mark(Enrolment(V1), [B], label="enrolment", executed_by="1.0.0")
    marks = [progress(store, scope).enrolment for scope in (INSTANCE, A, B)]
    assert [mark and mark.is_baseline for mark in marks] == [True, True, False]

    store.mark(Enrolment(V2), [B], label="baseline", executed_by="1.0.0")
    mark = progress(store, B).enrolment
    assert mark is not None
    assert (mark.version, mark.is_baseline) == (V2, True)


def test_the_record_of_how_far_a_scope_is_can_be_taken_back(store: HistoryStore):
    """None takes it away."""
    record(store, attempt(scope=A))
    store.record_through({A: V2})
    store.record_through({A: None})

    assert progress(store, A).through is None
