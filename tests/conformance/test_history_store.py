"""What every history store does, in SQL and in memory alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from upgrader.errors import RunSupersededError
from upgrader.history.store import AttemptFilter, HistoryStore
from upgrader.model import INSTANCE, Attempt, AttemptStatus, Direction, Enrolment, Progress, Scope
from upgrader.version import ReleaseVersion

RUNNING, COMPLETED, FAILED = AttemptStatus.RUNNING, AttemptStatus.COMPLETED, AttemptStatus.FAILED
INTERRUPTED, REVERTED, SKIPPED = AttemptStatus.INTERRUPTED, AttemptStatus.REVERTED, AttemptStatus.SKIPPED
A, B = Scope("a"), Scope("b")
FIRST, SECOND = "1.0.0_AddThing_1", "1.0.0_Add_Other_Thing_22"
V1, V2 = ReleaseVersion.parse("1.0.0"), ReleaseVersion.parse("2.0.0")

STRANGE_IDS = [
    "it's",
    'say "no"',
    "semi;colon -- comment",
    "back\\slash",
    "%s %(x)s {y}",
    " ",
    " padded ",
    "tab\tand\nnewline",
    "ümläut",
    "e\u0301 is not \u00e9",
    "日本語",
    "🦀",
    "null",
    "NULL",
    "A",
    "0",
    "x" * 3_000,
]


def attempt(
    name: str = FIRST,
    scope: Scope = INSTANCE,
    number: int = 1,
    status: AttemptStatus = COMPLETED,
    *,
    error: str | None = None,
    started_at: datetime | None = None,
) -> Attempt:
    return Attempt(
        name=name,
        kind="fast-instance" if scope.is_instance else "workspace",
        version="1.0.0",
        scope=scope,
        status=status,
        attempt=number,
        executed_by_version="1.0.0.dev1",
        checksum="v1:abc",
        error_message=error,
        started_at=started_at,
    )


def record(store: HistoryStore, *attempts: Attempt) -> None:
    for each in attempts:
        store.finish(each, is_running=False)


def progress(store: HistoryStore, scope: Scope) -> Progress:
    snapshot = store.snapshot()
    return snapshot.instance if scope.workspace_id is None else snapshot.workspaces[scope.workspace_id]


def found(store: HistoryStore, **wanted: object) -> list[tuple[str, str | None, int]]:
    attempts = store.attempts(AttemptFilter(**wanted))
    return [(each.name, each.scope.workspace_id, each.attempt) for each in attempts]


class TestWithoutHistory:
    def test_snapshot_is_empty(self, missing_store: HistoryStore):
        """A database without a history is told from one with an empty history."""
        snapshot = missing_store.snapshot()

        assert (snapshot.exists, dict(snapshot.workspaces)) == (False, {})
        assert (snapshot.instance.enrolment, snapshot.instance.completed) == (None, frozenset())

    def test_nothing_was_tried(self, missing_store: HistoryStore):
        """There are no attempts, newest or open."""
        assert list(missing_store.attempts(AttemptFilter())) == []
        assert list(missing_store.latest_open([INSTANCE, A])) == []


class TestEmptyHistory:
    def test_snapshot_is_empty(self, store: HistoryStore):
        """An empty history exists, and knows of no scope."""
        snapshot = store.snapshot()

        assert (snapshot.exists, dict(snapshot.workspaces)) == (True, {})
        instance = snapshot.instance
        assert (instance.enrolment, instance.completed, dict(instance.open), instance.through) == (
            None,
            frozenset(),
            {},
            None,
        )

    def test_nothing_was_tried(self, store: HistoryStore):
        """There are no attempts, no numbers, nothing that runs."""
        assert found(store) == []
        assert list(store.latest_open([INSTANCE, A])) == []
        assert list(store.latest_open([])) == []
        assert store.last_attempt(FIRST, INSTANCE) == 0
        assert store.interrupt_running() == 0

    def test_marks_and_records_of_no_scope_write_nothing(self, store: HistoryStore):
        """Empty input is no error."""
        assert store.mark(Enrolment(), [], label="enrolment", executed_by="1.0.0") == 0
        store.record_through({})
        assert found(store) == []


class TestStates:
    @pytest.mark.parametrize("scope", [INSTANCE, A])
    def test_completed(self, store: HistoryStore, scope: Scope):
        """A completed step is in its own scope's set and in no other's."""
        record(store, attempt(scope=scope))

        assert progress(store, scope).completed == {FIRST}
        assert progress(store, scope).open == {}
        snapshot = store.snapshot()
        assert len(snapshot.workspaces) == (0 if scope.is_instance else 1)
        assert snapshot.instance.completed == ({FIRST} if scope.is_instance else set())

    @pytest.mark.parametrize("status", [FAILED, INTERRUPTED, SKIPPED, REVERTED])
    def test_other_outcomes_are_open(self, store: HistoryStore, status: AttemptStatus):
        """Whatever is not completed is open, with its status."""
        record(store, attempt(scope=A, status=status))

        assert progress(store, A).completed == frozenset()
        assert progress(store, A).open == {FIRST: status}

    def test_running_is_open(self, store: HistoryStore):
        """A running attempt is open."""
        store.start(attempt(scope=A, status=RUNNING))

        assert progress(store, A).open == {FIRST: RUNNING}

    @pytest.mark.parametrize("outcome", [COMPLETED, FAILED, INTERRUPTED])
    def test_running_becomes_its_outcome(self, store: HistoryStore, outcome: AttemptStatus):
        """One attempt is one row: the running row takes on the outcome."""
        store.start(attempt(status=RUNNING))
        store.finish(attempt(status=outcome, error="what it said"), is_running=True)

        (row,) = store.attempts(AttemptFilter())
        assert (row.status, row.attempt, row.error_message) == (outcome, 1, "what it said")
        assert row.finished_at is not None
        assert (FIRST in progress(store, INSTANCE).completed) == (outcome is COMPLETED)

    @pytest.mark.parametrize(
        ("first", "second"),
        [(FAILED, COMPLETED), (COMPLETED, REVERTED), (INTERRUPTED, FAILED), (REVERTED, COMPLETED)],
    )
    def test_latest_attempt_decides(self, store: HistoryStore, first: AttemptStatus, second: AttemptStatus):
        """What an earlier attempt came to does not count."""
        record(store, attempt(number=1, status=first), attempt(number=2, status=second))

        now = progress(store, INSTANCE)
        assert (FIRST in now.completed, now.open.get(FIRST)) == (
            second is COMPLETED,
            None if second is COMPLETED else second,
        )

    def test_latest_is_the_highest_number(self, store: HistoryStore):
        """Not the order in which they were written but their numbers tell which attempt is the latest."""
        record(store, attempt(number=2, status=COMPLETED), attempt(number=1, status=FAILED))

        assert progress(store, INSTANCE).completed == {FIRST}
        assert list(store.latest_open([INSTANCE])) == []

    def test_steps_are_apart(self, store: HistoryStore):
        """One step's attempts leave another's state alone."""
        record(store, attempt(FIRST, A, 1, FAILED), attempt(SECOND, A, 1, COMPLETED))

        assert progress(store, A).completed == {SECOND}
        assert progress(store, A).open == {FIRST: FAILED}

    def test_equal_scopes_share_one_object(self, store: HistoryStore):
        """A thousand workspaces in the same state cost one set of names."""
        for scope in (A, B, Scope("c")):
            record(store, attempt(FIRST, scope), attempt(SECOND, scope))
        record(store, attempt(FIRST, Scope("d")), attempt(SECOND, Scope("e")))

        workspaces = store.snapshot().workspaces
        assert workspaces["a"] is workspaces["b"]
        assert workspaces["a"] is workspaces["c"]
        assert workspaces["a"] is not workspaces["d"]
        assert workspaces["d"].completed == {FIRST}
        assert workspaces["e"].completed == {SECOND}

    def test_equal_state_on_different_ways_is_shared(self, store: HistoryStore):
        """Order and number of attempts do not make a difference: only the latest ones do."""
        record(store, attempt(FIRST, A), attempt(SECOND, A))
        record(store, attempt(SECOND, B), attempt(FIRST, B, 1, FAILED), attempt(FIRST, B, 2, COMPLETED))

        workspaces = store.snapshot().workspaces
        assert workspaces["a"] is workspaces["b"]

    def test_status_tells_scopes_apart(self, store: HistoryStore):
        """Failed here and interrupted there are two states."""
        record(store, attempt(scope=A, status=FAILED), attempt(scope=B, status=INTERRUPTED))

        workspaces = store.snapshot().workspaces
        assert workspaces["a"].open == {FIRST: FAILED}
        assert workspaces["b"].open == {FIRST: INTERRUPTED}

    def test_instance_and_workspace_of_one_state(self, store: HistoryStore):
        """The instance may be in the very state that a workspace is in."""
        record(store, attempt(scope=INSTANCE), attempt(scope=A))

        snapshot = store.snapshot()
        assert snapshot.instance.completed == snapshot.workspaces["a"].completed == {FIRST}


class TestNumbers:
    def test_last_attempt_counts_every_status(self, store: HistoryStore):
        """The next number is one more than the highest, whatever became of it."""
        record(store, attempt(number=1, status=FAILED), attempt(number=2, status=INTERRUPTED))
        store.start(attempt(number=3, status=RUNNING))

        assert store.last_attempt(FIRST, INSTANCE) == 3

    def test_last_attempt_is_per_step_and_scope(self, store: HistoryStore):
        """Others' attempts do not count."""
        record(store, attempt(FIRST, A, 1, FAILED), attempt(FIRST, A, 2, FAILED), attempt(FIRST, B, 1))

        assert [store.last_attempt(FIRST, scope) for scope in (A, B, INSTANCE)] == [2, 1, 0]
        assert store.last_attempt(SECOND, A) == 0

    def test_latest_status_is_that_of_the_latest_attempt_that_counts(self, store: HistoryStore):
        """Per step and scope; a mark is none, nor is an attempt that left a step as it was."""
        assert store.latest_status(FIRST, A) is None
        store.mark(Enrolment(), [A], label="enrolment", executed_by="1.0.0")
        assert store.latest_status(FIRST, A) is None
        record(
            store, attempt(FIRST, A, 1, FAILED), attempt(FIRST, A, 2, COMPLETED), attempt(FIRST, B, 1, FAILED)
        )
        assert store.latest_status(FIRST, A) is COMPLETED
        assert store.latest_status(FIRST, B) is FAILED
        assert store.latest_status(SECOND, A) is None
        record(store, replace(attempt(FIRST, A, 3, FAILED), direction=Direction.DOWN, changes_state=False))
        assert store.latest_status(FIRST, A) is COMPLETED

    @pytest.mark.parametrize("scope", [INSTANCE, A])
    @pytest.mark.parametrize("status", [COMPLETED, FAILED])
    def test_attempt_is_unique(self, store: HistoryStore, scope: Scope, status: AttemptStatus):
        """A second run that executed the same attempt learns it from the store, and changes nothing."""
        record(store, attempt(scope=scope))

        with pytest.raises(RunSupersededError, match=rf"attempt 1 of {FIRST}"):
            store.finish(attempt(scope=scope, status=status), is_running=False)
        with pytest.raises(RunSupersededError, match="recorded already"):
            store.start(attempt(scope=scope, status=RUNNING))

        assert found(store) == [(FIRST, scope.workspace_id, 1)]
        assert progress(store, scope).completed == {FIRST}

    def test_running_attempt_is_unique(self, store: HistoryStore):
        """Two runs cannot both begin one attempt."""
        store.start(attempt(status=RUNNING))

        with pytest.raises(RunSupersededError):
            store.start(attempt(status=RUNNING))

    def test_same_attempt_elsewhere_is_another(self, store: HistoryStore):
        """Names, scopes and numbers together make an attempt."""
        record(store, attempt(FIRST, A, 1), attempt(FIRST, B, 1), attempt(SECOND, A, 1), attempt(FIRST, A, 2))

        assert len(found(store)) == 4

    def test_outcome_of_an_interrupted_attempt_is_refused(self, store: HistoryStore):
        """A run that lost its lock cannot overwrite what the next one has written."""
        store.start(attempt(status=RUNNING))
        store.interrupt_running()

        with pytest.raises(RunSupersededError, match="not there any more"):
            store.finish(attempt(status=COMPLETED), is_running=True)

        assert progress(store, INSTANCE).open == {FIRST: INTERRUPTED}

    def test_outcome_without_a_running_row_is_refused(self, store: HistoryStore):
        """An attempt that never began has no row to finish."""
        with pytest.raises(RunSupersededError, match="not there any more"):
            store.finish(attempt(), is_running=True)

        assert found(store) == []


class TestInterruptRunning:
    def test_only_running_ones(self, store: HistoryStore):
        """What a dead run left running becomes interrupted; what it finished stays."""
        store.start(attempt(FIRST, INSTANCE, 1, RUNNING))
        store.start(attempt(FIRST, A, 1, RUNNING))
        record(store, attempt(SECOND, INSTANCE), attempt(SECOND, A, 1, FAILED, error="boom"))

        assert store.interrupt_running() == 2
        assert store.interrupt_running() == 0

        states = {(row.name, row.scope): row for row in store.attempts(AttemptFilter())}
        assert states[FIRST, INSTANCE].status is INTERRUPTED
        assert states[FIRST, A].status is INTERRUPTED
        assert states[FIRST, A].error_message == "the run that executed this attempt ended before it did"
        assert states[FIRST, A].finished_at is not None
        assert states[SECOND, INSTANCE].status is COMPLETED
        assert states[SECOND, A].error_message == "boom"
        assert progress(store, A).open == {FIRST: INTERRUPTED, SECOND: FAILED}

    def test_next_attempt_follows(self, store: HistoryStore):
        """The attempt after an interrupted one has the next number, and decides."""
        store.start(attempt(number=1, status=RUNNING))
        store.interrupt_running()
        record(store, attempt(number=store.last_attempt(FIRST, INSTANCE) + 1))

        assert progress(store, INSTANCE).completed == {FIRST}
        assert found(store) == [(FIRST, None, 2), (FIRST, None, 1)]


class TestMarks:
    @pytest.mark.parametrize(("enrolment", "text"), [(Enrolment(), "start"), (Enrolment(V1), "1.0.0")])
    def test_mark_enrols(self, store: HistoryStore, enrolment: Enrolment, text: str):
        """A mark is a completed row of its own that says at which version a scope entered."""
        assert store.mark(enrolment, [INSTANCE, A], label="enrolment", executed_by="1.2.3") == 2

        assert progress(store, INSTANCE).enrolment == enrolment
        assert progress(store, A).enrolment == enrolment
        newest = next(store.attempts(AttemptFilter(workspace_id="a")))
        assert (newest.name, newest.kind, newest.version) == (f"{text}_enrolment", "workspace", text)
        assert (newest.is_initial, newest.status, newest.attempt) == (True, COMPLETED, 1)
        assert (newest.executed_by_version, newest.checksum) == ("1.2.3", "")
        assert newest.finished_at is not None

    def test_mark_is_no_step(self, store: HistoryStore):
        """A mark is neither completed work nor open work."""
        store.mark(Enrolment(V1), [A], label="baseline", executed_by="1.0.0")

        now = progress(store, A)
        assert (now.completed, dict(now.open)) == (frozenset(), {})
        assert list(store.latest_open([A])) == []

    def test_same_mark_again_writes_nothing(self, store: HistoryStore):
        """Marking is repeatable; new scopes beside old ones are counted."""
        store.mark(Enrolment(V1), [INSTANCE, A], label="baseline", executed_by="1.0.0")

        assert store.mark(Enrolment(V1), [INSTANCE, A, B], label="baseline", executed_by="1.0.0") == 1
        assert len(found(store)) == 3

    def test_scope_named_twice_is_marked_once(self, store: HistoryStore):
        """One call may name a scope twice."""
        assert store.mark(Enrolment(), [A, A, INSTANCE, INSTANCE], label="enrolment", executed_by="1") == 2

    def test_latest_mark_wins(self, store: HistoryStore):
        """A database that was enrolled at the beginning may be given a baseline later."""
        store.mark(Enrolment(), [INSTANCE, A], label="enrolment", executed_by="1.0.0")
        store.mark(Enrolment(V1), [INSTANCE, A], label="baseline", executed_by="1.0.0")
        assert progress(store, A).enrolment == Enrolment(V1)

        store.mark(Enrolment(V2), [A], label="baseline", executed_by="1.0.0")
        assert progress(store, A).enrolment == Enrolment(V2)
        assert progress(store, INSTANCE).enrolment == Enrolment(V1)

    def test_mark_survives_attempts(self, store: HistoryStore):
        """Attempts before and after a mark leave it alone, and it them."""
        record(store, attempt(FIRST, A, 1, FAILED))
        store.mark(Enrolment(V1), [A], label="enrolment", executed_by="1.0.0")
        record(store, attempt(FIRST, A, 2), attempt(SECOND, A))

        now = progress(store, A)
        assert (now.enrolment, now.completed) == (Enrolment(V1), {FIRST, SECOND})

    def test_marks_tell_scopes_apart(self, store: HistoryStore):
        """Equal steps and different enrolments are two states; without a mark is a third."""
        for scope in (A, B, Scope("c")):
            record(store, attempt(FIRST, scope))
        store.mark(Enrolment(), [A], label="enrolment", executed_by="1.0.0")
        store.mark(Enrolment(V1), [B], label="enrolment", executed_by="1.0.0")

        workspaces = store.snapshot().workspaces
        assert [workspaces[id_].enrolment for id_ in "abc"] == [Enrolment(), Enrolment(V1), None]

    def test_many_scopes(self, store: HistoryStore):
        """More scopes than fit into one message are marked all the same, and share one state."""
        scopes = [Scope(f"w{number:05}") for number in range(2_500)]

        assert store.mark(Enrolment(), iter(scopes), label="enrolment", executed_by="1.0.0") == 2_500

        workspaces = store.snapshot().workspaces
        assert len(workspaces) == 2_500
        assert len({id(each) for each in workspaces.values()}) == 1


class TestThrough:
    def test_is_recorded(self, store: HistoryStore):
        """How far a scope is is kept beside its steps, and tells it from others."""
        store.mark(Enrolment(), [INSTANCE, A, B], label="enrolment", executed_by="1.0.0")
        store.record_through({INSTANCE: V2, A: V1})

        assert [progress(store, scope).through for scope in (INSTANCE, A, B)] == [V2, V1, None]
        workspaces = store.snapshot().workspaces
        assert workspaces["a"] is not workspaces["b"]

    def test_is_replaced(self, store: HistoryStore):
        """The last word counts, higher or lower."""
        record(store, attempt(scope=A))
        store.record_through({A: V2})
        store.record_through({A: V1})

        assert progress(store, A).through == V1

    def test_survives_attempts(self, store: HistoryStore):
        """Attempts leave it alone, repeated ones too."""
        record(store, attempt(FIRST, A, 1, FAILED))
        store.record_through({A: V1})
        record(store, attempt(FIRST, A, 2), attempt(SECOND, A))

        assert progress(store, A).through == V1
        assert progress(store, A).completed == {FIRST, SECOND}

    def test_unknown_scope_is_left_out(self, store: HistoryStore):
        """A scope without any row does not come into being."""
        store.record_through({A: V1, INSTANCE: V1})

        assert dict(store.snapshot().workspaces) == {}
        assert store.snapshot().instance.through is None


class TestAttempts:
    @pytest.fixture
    def filled(self, store: HistoryStore) -> HistoryStore:
        store.mark(Enrolment(), [INSTANCE, A], label="enrolment", executed_by="1.0.0")
        record(
            store,
            attempt(FIRST, INSTANCE, 1, FAILED, error="first"),
            attempt(FIRST, INSTANCE, 2),
            attempt(FIRST, A, 1, FAILED, error="second"),
            attempt(SECOND, A),
            attempt(SECOND, B, 1, FAILED),
        )
        return store

    def test_newest_first(self, filled: HistoryStore):
        """All rows come back, the last written one first, with rising ids."""
        rows = list(filled.attempts(AttemptFilter()))

        assert [(row.name, row.scope.workspace_id) for row in rows] == [
            (SECOND, "b"),
            (SECOND, "a"),
            (FIRST, "a"),
            (FIRST, None),
            (FIRST, None),
            *[
                ("start_enrolment", scope)
                for scope in (rows[5].scope.workspace_id, rows[6].scope.workspace_id)
            ],
        ]
        assert [row.id for row in rows] == sorted((row.id for row in rows), reverse=True)

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"status": FAILED}, [(SECOND, "b", 1), (FIRST, "a", 1), (FIRST, None, 1)]),
            ({"status": REVERTED}, []),
            ({"step": FIRST}, [(FIRST, "a", 1), (FIRST, None, 2), (FIRST, None, 1)]),
            ({"step": "AddThing"}, [(FIRST, "a", 1), (FIRST, None, 2), (FIRST, None, 1)]),
            ({"step": "1"}, [(FIRST, "a", 1), (FIRST, None, 2), (FIRST, None, 1)]),
            ({"step": SECOND}, [(SECOND, "b", 1), (SECOND, "a", 1)]),
            ({"step": "Add_Other_Thing"}, [(SECOND, "b", 1), (SECOND, "a", 1)]),
            ({"step": "22"}, [(SECOND, "b", 1), (SECOND, "a", 1)]),
            ({"step": "2"}, []),
            ({"step": "Add"}, []),
            ({"step": "1.0.0"}, []),
            ({"step": "addthing"}, []),
            ({"step": "%"}, []),
            ({"step": ""}, []),
            ({"workspace_id": "b"}, [(SECOND, "b", 1)]),
            ({"workspace_id": "nobody"}, []),
            ({"workspace_id": "a", "status": FAILED}, [(FIRST, "a", 1)]),
            ({"workspace_id": "a", "step": "22", "status": COMPLETED}, [(SECOND, "a", 1)]),
            ({"instance_only": True, "step": FIRST}, [(FIRST, None, 2), (FIRST, None, 1)]),
            ({"limit": 0}, []),
            ({"limit": 1}, [(SECOND, "b", 1)]),
            ({"limit": 1, "status": FAILED, "instance_only": True}, [(FIRST, None, 1)]),
            ({"limit": 100, "workspace_id": "b"}, [(SECOND, "b", 1)]),
        ],
        ids=str,
    )
    def test_filters(self, filled: HistoryStore, wanted: dict[str, object], expected: list[object]):
        """Filters combine; a step goes by its full name, its class or its timestamp, never by a part of them."""
        assert found(filled, **wanted) == expected

    def test_filter_leaves_marks(self, filled: HistoryStore):
        """Marks are rows like others, for those who ask for a scope."""
        assert ("start_enrolment", None, 1) in found(filled, instance_only=True)
        assert ("start_enrolment", "a", 1) in found(filled, workspace_id="a")

    def test_reading_may_stop_early(self, filled: HistoryStore):
        """A reader that leaves in the middle leaves the store usable."""
        rows = filled.attempts(AttemptFilter())
        next(rows)
        rows.close()  # type: ignore[attr-defined]  # an attribute of this class alone

        assert filled.last_attempt(FIRST, INSTANCE) == 2
        record(filled, attempt(SECOND, B, 2))
        assert filled.last_attempt(SECOND, B) == 2

    def test_row_comes_back_whole(self, store: HistoryStore):
        """Every field of an attempt is kept."""
        started = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        given = attempt(FIRST, A, 3, FAILED, error="line one\nline two ✓ %s", started_at=started)
        record(store, given)

        (row,) = store.attempts(AttemptFilter())
        assert row.id > 0
        assert row.started_at == started
        assert row.finished_at is not None
        assert row.finished_at.utcoffset() is not None
        assert row == Attempt(
            id=row.id,
            name=given.name,
            kind="workspace",
            version="1.0.0",
            scope=A,
            status=FAILED,
            attempt=3,
            executed_by_version="1.0.0.dev1",
            checksum="v1:abc",
            is_initial=False,
            error_message="line one\nline two ✓ %s",
            started_at=started,
            finished_at=row.finished_at,
        )

    def test_times_are_set(self, store: HistoryStore):
        """Without a beginning of its own an attempt begins now; a running one has no end."""
        before = datetime.now(UTC) - timedelta(minutes=5)  # the server's clock may differ
        store.start(attempt(status=RUNNING))

        (row,) = store.attempts(AttemptFilter())
        assert row.started_at is not None
        assert before < row.started_at < before + timedelta(minutes=10)
        assert (row.status, row.finished_at, row.error_message) == (RUNNING, None, None)

    def test_finishing_keeps_the_beginning(self, store: HistoryStore):
        """The outcome leaves what the beginning wrote."""
        store.start(attempt(status=RUNNING, started_at=datetime(2026, 1, 1, tzinfo=UTC)))
        store.finish(attempt(status=COMPLETED), is_running=True)

        (row,) = store.attempts(AttemptFilter())
        assert (row.started_at, row.checksum) == (datetime(2026, 1, 1, tzinfo=UTC), "v1:abc")

    def test_long_error(self, store: HistoryStore):
        """The store cuts nothing."""
        record(store, attempt(status=FAILED, error="é" * 100_000))

        (row,) = store.attempts(AttemptFilter())
        assert row.error_message == "é" * 100_000


class TestLatestOpen:
    def test_latest_of_each_step(self, store: HistoryStore):
        """Of each step that is not completed its latest attempt, in the scopes asked for."""
        record(
            store,
            attempt(FIRST, A, 1, FAILED, error="old"),
            attempt(FIRST, A, 2, INTERRUPTED, error="new"),
            attempt(SECOND, A, 1, FAILED),
            attempt(FIRST, B, 1, FAILED),
            attempt(FIRST, B, 2, COMPLETED),
            attempt(SECOND, B, 1, COMPLETED),
            attempt(SECOND, B, 2, REVERTED),
            attempt(FIRST, INSTANCE, 1, FAILED),
        )

        def open_in(*scopes: Scope) -> set[tuple[str, str | None, int, AttemptStatus]]:
            rows = store.latest_open(scopes)
            return {(row.name, row.scope.workspace_id, row.attempt, row.status) for row in rows}

        in_a = {(FIRST, "a", 2, INTERRUPTED), (SECOND, "a", 1, FAILED)}
        in_b = {(SECOND, "b", 2, REVERTED)}
        assert open_in(A) == in_a
        assert open_in(B) == in_b
        assert open_in(INSTANCE) == {(FIRST, None, 1, FAILED)}
        assert open_in(A, B, Scope("nobody")) == in_a | in_b

    def test_scope_asked_for_twice(self, store: HistoryStore):
        """A scope that is named twice is answered once."""
        record(store, attempt(scope=A, status=FAILED))

        assert len(list(store.latest_open([A, A]))) == 1

    def test_running_is_open(self, store: HistoryStore):
        """A running attempt is open."""
        store.start(attempt(scope=A, status=RUNNING))

        assert [row.status for row in store.latest_open([A])] == [RUNNING]


class TestStrangeIds:
    @pytest.mark.parametrize("id_", STRANGE_IDS, ids=lambda id_: ascii(id_)[:30])
    def test_id_is_taken_as_it_is(self, store: HistoryStore, id_: str):
        """Whatever text the product's ids are, every method takes them byte by byte."""
        scope = Scope(id_)
        store.mark(Enrolment(), [scope], label="enrolment", executed_by="1.0.0")
        store.start(attempt(FIRST, scope, 1, RUNNING))
        assert store.interrupt_running() == 1
        record(store, attempt(FIRST, scope, 2, COMPLETED), attempt(SECOND, scope, 1, FAILED))
        store.record_through({scope: V1})

        assert store.last_attempt(FIRST, scope) == 2
        snapshot = store.snapshot()
        assert list(snapshot.workspaces) == [id_]
        now = snapshot.workspaces[id_]
        assert (now.enrolment, now.completed, now.open, now.through) == (
            Enrolment(),
            {FIRST},
            {SECOND: FAILED},
            V1,
        )
        assert [row.scope for row in store.latest_open([scope])] == [scope]
        assert {row.scope for row in store.attempts(AttemptFilter(workspace_id=id_))} == {scope}
        assert found(store, instance_only=True) == []

    def test_ids_that_look_alike_are_apart(self, store: HistoryStore):
        """Case, blanks and Unicode forms make different workspaces."""
        ids = ["a", "A", " a", "a ", "\u00e9", "e\u0301", "null", "\u200b"]
        for number, id_ in enumerate(ids, start=1):
            record(store, attempt(scope=Scope(id_), number=number))

        assert set(store.snapshot().workspaces) == set(ids)
        assert [store.last_attempt(FIRST, Scope(id_)) for id_ in ids] == list(range(1, 9))


class TestQuarantine:
    def set_aside(self, store: HistoryStore, *ids: str, reason: str = "its disk is full") -> set[str]:
        return set(store.quarantine(ids, reason=reason, by="host, pid 1", executed_by="1.0.0"))

    @pytest.mark.parametrize("workspace_id", STRANGE_IDS)
    def test_is_read_with_everything_else(self, store: HistoryStore, workspace_id: str):
        """Reason, author, program and age, whatever the id; no progress is needed for it, and none is made."""
        assert self.set_aside(store, workspace_id) == {workspace_id}

        snapshot = store.snapshot()
        found = snapshot.quarantined[workspace_id]
        assert (found.reason, found.executed_by_version) == ("its disk is full", "1.0.0")
        assert found.by.endswith("host, pid 1")
        assert found.since <= datetime.now(UTC) + timedelta(minutes=1)
        assert 0 <= found.age_seconds < 600
        assert dict(snapshot.workspaces) == {}

    def test_the_first_reason_stays(self, store: HistoryStore):
        """Setting aside twice tells which were new; the others are left as they are."""
        self.set_aside(store, "a")

        assert self.set_aside(store, "a", "b", "b", reason="another") == {"b"}
        assert {one: each.reason for one, each in store.snapshot().quarantined.items()} == {
            "a": "its disk is full",
            "b": "another",
        }

    def test_release(self, store: HistoryStore):
        """A release tells which were set aside; they may be set aside again."""
        self.set_aside(store, "a", "b")

        assert set(store.release(["a", "c"])) == {"a"}
        assert set(store.release(["a"])) == set()
        assert set(store.snapshot().quarantined) == {"b"}
        assert self.set_aside(store, "a", reason="again") == {"a"}
        assert store.snapshot().quarantined["a"].reason == "again"

    def test_history_is_untouched(self, store: HistoryStore):
        """Its progress is what it was, before and after."""
        store.mark(Enrolment(V1), [A], label="enrolment", executed_by="1")
        record(store, attempt(SECOND, A, status=FAILED, error="boom"))
        before = progress(store, A)
        for change in (lambda: self.set_aside(store, "a"), lambda: store.release(["a"])):
            change()
            after = progress(store, A)
            assert (after.enrolment, after.open) == (before.enrolment, before.open)


class TestForget:
    def life(self, store: HistoryStore) -> None:
        store.mark(Enrolment(V1), [INSTANCE, A, B], label="enrolment", executed_by="1")
        record(store, attempt(FIRST, A, status=FAILED, error="boom"), attempt(FIRST, A, 2))
        record(store, attempt(FIRST, B), attempt(FIRST, INSTANCE))
        store.record_through({A: V1, B: V1})

    def test_the_id_begins_anew(self, store: HistoryStore):
        """Not enrolled, nothing done, nothing tried; the others keep what they have."""
        self.life(store)

        assert store.forget("a")

        snapshot = store.snapshot()
        assert set(snapshot.workspaces) == {"b"}
        assert snapshot.workspaces["b"].completed == {FIRST}
        assert snapshot.instance.completed == {FIRST}
        assert store.last_attempt(FIRST, A) == 0
        assert list(store.latest_open([A])) == []

    def test_the_old_life_can_be_read(self, store: HistoryStore):
        """Its attempts are there as they were, marked with the time; those of others are not marked."""
        self.life(store)
        before = [
            (row.id, row.status, row.attempt) for row in store.attempts(AttemptFilter(workspace_id="a"))
        ]

        store.forget("a")

        rows = list(store.attempts(AttemptFilter(workspace_id="a")))
        assert [(row.id, row.status, row.attempt) for row in rows] == before
        assert all(row.forgotten_at is not None for row in rows)
        assert all(row.forgotten_at is None for row in store.attempts(AttemptFilter(workspace_id="b")))

    def test_a_new_life(self, store: HistoryStore):
        """The same steps begin at attempt 1 again, and only they count."""
        self.life(store)
        store.forget("a")

        assert store.mark(Enrolment(V1), [A], label="enrolment", executed_by="2") == 1
        record(store, attempt(FIRST, A, status=FAILED, error="new"))

        now = progress(store, A)
        assert (now.enrolment, now.completed, dict(now.open), now.through) == (
            Enrolment(V1),
            frozenset(),
            {FIRST: FAILED},
            None,
        )
        assert [row.error_message for row in store.latest_open([A])] == ["new"]
        assert store.last_attempt(FIRST, A) == 1

    def test_again_and_again(self, store: HistoryStore):
        """Every life of an id stays apart."""
        for life in range(3):
            store.mark(Enrolment(), [A], label="enrolment", executed_by=str(life))
            record(store, attempt(FIRST, A))
            assert store.forget("a")
        assert not store.forget("a")
        assert found(store, step=FIRST) == [(FIRST, "a", 1)] * 3

    def test_its_quarantine_ends(self, store: HistoryStore):
        """Also where there is nothing else; an id that nobody knows has nothing to end."""
        store.quarantine(["a"], reason="broken", by="me", executed_by="1")

        assert store.forget("a")
        assert not store.forget("a")
        assert dict(store.snapshot().quarantined) == {}

    def test_an_attempt_on_its_way(self, store: HistoryStore):
        """What became of it is written to its own row, and to no life after it."""
        store.mark(Enrolment(), [A], label="enrolment", executed_by="1")
        store.start(attempt(FIRST, A, status=RUNNING))
        store.forget("a")
        store.mark(Enrolment(), [A], label="enrolment", executed_by="1")

        store.finish(attempt(FIRST, A, status=FAILED, error="gone"), is_running=True)

        assert dict(progress(store, A).open) == {}
        (row,) = store.attempts(AttemptFilter(step=FIRST))
        assert (row.status, row.error_message) == (FAILED, "gone")
        assert row.forgotten_at is not None

    def test_what_was_planned_in_an_earlier_life(self, store: HistoryStore):
        """It does not begin in the later one; how it ended without beginning counts as little."""
        lives = []
        for _ in range(2):
            store.forget("a")
            store.mark(Enrolment(), [A], label="enrolment", executed_by="1")
            lives.append(progress(store, A).life)
        planned = replace(attempt(FIRST, A, status=RUNNING), life=lives[0])

        assert not store.start(planned)
        assert store.last_attempt(FIRST, A) == 0
        store.finish(replace(planned, status=FAILED, error_message="gone"), is_running=False)

        assert dict(progress(store, A).open) == {}
        assert lives == [0, 1]
        assert [row.forgotten_at is None for row in store.attempts(AttemptFilter(step=FIRST))] == [False]
        assert store.start(replace(planned, life=lives[1]))
        assert dict(progress(store, A).open) == {FIRST: RUNNING}
