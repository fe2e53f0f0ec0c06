"""The history in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice

import psycopg

from upgrader.database.connect import identifier, literal
from upgrader.database.encodings import storable
from upgrader.database.leftovers import Traces
from upgrader.errors import RunSupersededError
from upgrader.history.attempt_query import AttemptQueries
from upgrader.history.keys import LockKeys
from upgrader.history.layout import read_layout_version
from upgrader.history.read_snapshot import read_snapshot
from upgrader.history.rows import (
    ATTEMPT_COLUMNS,
    attempt_of,
)
from upgrader.history.store import AnnouncedRun, AttemptFilter, HistorySnapshot
from upgrader.history.workspace_functions import NOT_ENROLLED
from upgrader.model import (
    Attempt,
    AttemptStatus,
    Direction,
    Enrolment,
    Scope,
    Step,
)
from upgrader.version import ReleaseVersion

_ATTEMPT_KEY = "(coalesce(workspace_id, ''), name, attempt) where forgotten_at is null"
_BATCH = 1000
# The workspace was forgotten and enrolled anew since the attempt was planned; never true of the instance.
_OTHER_LIFE = "coalesce(workspace_id, '') = %s and enrolled is not null and life <> %s"
_SUPERSEDED_HINT = "another run has been at work: look at `upgrader history`, then run the same command again"


class SqlHistoryStore:
    """The history in its schema. Every method is one or a few statements in autocommit."""

    def __init__(self, driver: Callable[[], psycopg.Connection], schema: str) -> None:
        """Read nothing yet.

        Args:
            driver: gives an open connection in autocommit.
            schema: the history schema.
        """
        self._get_driver = driver
        self._schema = schema
        self._keys = LockKeys.of(schema)
        # All statements with these names have parameters, of which psycopg marks the places with %.
        self._history = identifier(schema, "history").replace("%", "%%")
        self._scope = identifier(schema, "scope").replace("%", "%%")
        self._quarantine = identifier(schema, "quarantine").replace("%", "%%")
        self._queries = AttemptQueries(schema)
        function = identifier(schema, "end_backfills").replace("%", "%%")
        self._ending_backfills = f" returning {function}(workspace_id, name)"

    @property
    def _driver(self) -> psycopg.Connection:
        return self._get_driver()

    def snapshot(self) -> HistorySnapshot:
        """Read how far every scope is: one row per scope, then the steps of one scope for each distinct state."""
        return read_snapshot(self._driver, self._schema)

    def attempts(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        """Give attempts, newest first; many of them through a server-side cursor, in a transaction of its own."""
        if read_layout_version(self._driver, self._schema) is None:
            return
        query = self._queries.of(wanted, self._driver)
        if query is None:
            return
        if wanted.limit is not None and wanted.limit <= _BATCH:
            # In one statement: what other lanes write meanwhile would be part of a transaction.
            rows = self._driver.execute(query.text.encode(), query.values).fetchall()
            yield from map(attempt_of, rows)
            return
        with self._driver.transaction(), self._driver.cursor(name="upgrader_attempts") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(query.text.encode(), query.values)
            for row in cursor:
                yield attempt_of(row)

    def latest_open(self, scopes: Iterable[Scope], *, step: str | None = None) -> Iterator[Attempt]:
        """Give the latest attempt of each step that was tried and is not completed, in these scopes."""
        if read_layout_version(self._driver, self._schema) is None:
            return
        pending = iter(scopes)
        of_step, steps = (" and name = %s", [step]) if step is not None else ("", [])
        while batch := list(islice(pending, _BATCH)):
            rows = self._driver.execute(
                f"select {ATTEMPT_COLUMNS} from (select distinct on (coalesce(workspace_id, ''), name) *"
                f" from {self._history} where coalesce(workspace_id, '') = any(%s){of_step} and not is_initial"
                " and changes_state and forgotten_at is null"
                " order by coalesce(workspace_id, ''), name, attempt desc) h where status <> 'completed'".encode(),
                [[scope.workspace_id or "" for scope in batch], *steps],
            ).fetchall()
            yield from map(attempt_of, rows)

    def last_attempt(self, name: str, scope: Scope) -> int:
        """Give the number of the latest attempt; 0 where there is none."""
        row = self._driver.execute(
            f"select max(attempt) from {self._history}"
            " where coalesce(workspace_id, '') = %s and name = %s and forgotten_at is null".encode(),
            [scope.workspace_id or "", name],
        ).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def latest_status(self, name: str, scope: Scope) -> AttemptStatus | None:
        """Give what the latest attempt at a step in a scope came to; None where there is none that counts."""
        row = self._driver.execute(
            f"select status from {self._history} where coalesce(workspace_id, '') = %s and name = %s"
            " and not is_initial and changes_state and forgotten_at is null order by attempt desc limit 1".encode(),
            [scope.workspace_id or "", name],
        ).fetchone()
        return AttemptStatus(row[0]) if row else None

    def start(self, attempt: Attempt) -> bool:
        """Commit a `running` row; False where the workspace's id lives another life by now.

        Raises:
            RunSupersededError: the attempt is recorded already.
        """
        if self._lives_anew(attempt):
            return False
        self._insert(attempt, finished=False)
        return True

    def finish(self, attempt: Attempt, *, is_running: bool) -> None:
        """Commit the outcome of an attempt.

        Raises:
            RunSupersededError: the attempt is recorded already, or its `running` row is not there any more.
        """
        if not is_running:
            self._insert(attempt, finished=True)
            return
        is_done = attempt.status in (AttemptStatus.COMPLETED, AttemptStatus.REVERTED)
        updated = self._driver.execute(
            f"update {self._history} set status = %s, error_message = %s, finished_at = clock_timestamp()"
            # Also where the workspace was forgotten meanwhile: the attempt came to this all the same.
            " where coalesce(workspace_id, '') = %s and name = %s and attempt = %s and status = 'running'"
            f"{self._ending_backfills if is_done else ''}".encode(),
            [
                attempt.status.value,
                self._storable(attempt.error_message),
                attempt.scope.workspace_id or "",
                attempt.name,
                attempt.attempt,
            ],
        ).rowcount
        if not updated:
            raise RunSupersededError(
                f"the running attempt {attempt.attempt} of {attempt.name} is not there any more",
                hint=_SUPERSEDED_HINT,
            )

    def completion(
        self,
        step: Step,
        scope: Scope,
        token: str,
        *,
        attempt: int,
        executed_by: str,
        direction: Direction,
        life: int | None,
        is_running: bool,
        traces: Traces,
    ) -> str:
        """Give the SQL that checks a step's transaction and records it as completed, for the same transaction.

        The arguments mean what they do in `Attempt`, which nobody else needs of a step that succeeds.
        """
        may_hold_locks = traces.may_hold_locks
        own_lock = self._own_lock(scope) if may_hold_locks else None
        call, of_step, of_code = _completion_literals(
            self._schema, step.name, step.kind.value, step.version.text, executed_by, step.checksum
        )
        way = "'up'" if direction is Direction.UP else "'down'"
        return (
            f"{call}({literal(token)}, {of_step}, {literal(scope.workspace_id)}, {attempt}, {of_code},"
            f" {is_running}, {traces.dropped_on_commit}, {may_hold_locks}, {way},"
            f" {literal(life)}, {literal(own_lock)})"
        )

    def check(self, token: str, scope: Scope) -> str:
        """Give the SQL that checks a transaction of a data migration, which has no row of its own."""
        function = identifier(self._schema, "check_step")
        return f"select {function}({literal(token)}, true, true, {literal(self._own_lock(scope))})"

    def _own_lock(self, scope: Scope) -> int | None:
        return None if scope.workspace_id is None else self._keys.workspace(scope.workspace_id)

    def announced_run(self) -> AnnouncedRun | None:
        """Read who announced itself last as the holder of the run lock; None where that is not to be seen."""
        if read_layout_version(self._driver, self._schema) is None:
            return None
        try:
            row = self._driver.execute(
                "select run_id, client, backend_pid, executed_by_version"
                f" from {identifier(self._schema, 'run')}".encode()
            ).fetchone()
        except psycopg.errors.InsufficientPrivilege:  # a role that may read the history alone
            return None
        return AnnouncedRun(*row) if row else None

    def interrupt_running(self) -> int:
        """Turn each `running` row into `interrupted`; give their number."""
        return self._driver.execute(
            f"update {self._history} set status = 'interrupted', finished_at = clock_timestamp(),"
            " error_message = 'the run that executed this attempt ended before it did'"
            " where status = 'running'".encode(),
            [],
        ).rowcount

    def mark(self, enrolment: Enrolment, scopes: Iterable[Scope], *, label: str, executed_by: str) -> int:
        """Write one mark for each scope, in one transaction."""
        written = 0
        pending = iter(scopes)
        with self._driver.transaction():
            while batch := list(islice(pending, _BATCH)):
                written += self._driver.execute(
                    f"insert into {self._history} (name, kind, version, workspace_id, status, attempt,"
                    " is_initial, executed_by_version, checksum, finished_at)"
                    " select %s, case when id = '' then 'fast-instance' else 'workspace' end, %s,"
                    " nullif(id, ''), 'completed', 1, true, %s, '', clock_timestamp() from unnest(%s::text[]) id"
                    f" on conflict {_ATTEMPT_KEY} do nothing".encode(),
                    [
                        f"{enrolment.text}_{label}",
                        enrolment.text,
                        executed_by,
                        [scope.workspace_id or "" for scope in batch],
                    ],
                ).rowcount
        return written

    def record_through(self, through: Mapping[Scope, ReleaseVersion | None]) -> None:
        """Record how far scopes are; one statement for each version. None takes the record back."""
        by_version: dict[str | None, list[str]] = defaultdict(list)
        for scope, version in through.items():
            by_version[version.text if version else None].append(scope.workspace_id or "")
        for text, scopes in by_version.items():
            self._driver.execute(
                f"update {self._scope} set through = %s where coalesce(workspace_id, '') = any(%s)".encode(),
                [text, scopes],
            )

    def quarantine(
        self, workspace_ids: Iterable[str], *, reason: str, by: str, executed_by: str
    ) -> Collection[str]:
        """Set workspaces aside; one statement."""
        rows = self._driver.execute(
            f"insert into {self._quarantine} (workspace_id, reason, quarantined_by, executed_by_version)"
            " select id, %s, session_user || ' on ' || %s, %s from unnest(%s::text[]) id"
            " on conflict (workspace_id) where released_at is null do nothing returning workspace_id".encode(),
            [self._storable(reason), self._storable(by), executed_by, list(workspace_ids)],
        )
        return {workspace_id for (workspace_id,) in rows}

    def release(self, workspace_ids: Iterable[str]) -> Collection[str]:
        """Bring workspaces back."""
        with self._driver.transaction():
            self._driver.execute("select pg_advisory_xact_lock_shared(%s)", [self._keys.barrier])
            rows = self._driver.execute(
                f"update {self._quarantine} set released_at = clock_timestamp()"
                " where workspace_id = any(%s) and released_at is null returning workspace_id".encode(),
                [list(workspace_ids)],
            ).fetchall()
        return {workspace_id for (workspace_id,) in rows}

    def forget(self, workspace_id: str) -> bool:
        """End the history of a workspace."""
        # Each statement sees what was there before it: what is asked first is not yet forgotten.
        with self._driver.transaction():
            row = self._driver.execute(
                f"select exists (select from {self._scope} where coalesce(workspace_id, '') = %s)"
                f" or exists (select from {self._quarantine} where workspace_id = %s and released_at is null)".encode(),
                [workspace_id, workspace_id],
            ).fetchone()
            function = identifier(self._schema, "forget_workspace").replace("%", "%%")
            self._driver.execute(f"select {function}(%s)".encode(), [workspace_id])
        return row == (True,)

    def _insert(self, attempt: Attempt, *, finished: bool) -> None:
        inserted = self._driver.execute(
            f"insert into {self._history} (name, kind, version, workspace_id, status, attempt, is_initial,"
            " direction, changes_state, executed_by_version, checksum, error_message, started_at, finished_at,"
            " forgotten_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
            " least(coalesce(%s, clock_timestamp()), clock_timestamp()),"
            " case when %s then clock_timestamp() end,"
            f" (select clock_timestamp() from {self._scope} where {_OTHER_LIFE}))"
            f" on conflict {_ATTEMPT_KEY} do nothing".encode(),
            [
                attempt.name,
                attempt.kind,
                attempt.version,
                attempt.scope.workspace_id,
                attempt.status.value,
                attempt.attempt,
                attempt.is_initial,
                attempt.direction.value,
                attempt.changes_state,
                attempt.executed_by_version,
                attempt.checksum,
                self._storable(attempt.error_message),
                attempt.started_at,
                finished,
                attempt.scope.workspace_id,
                attempt.life,
            ],
        ).rowcount
        if not inserted:
            raise RunSupersededError(
                f"attempt {attempt.attempt} of {attempt.name} is recorded already", hint=_SUPERSEDED_HINT
            )

    def _lives_anew(self, attempt: Attempt) -> bool:
        row = self._driver.execute(
            f"select exists (select from {self._scope} where {_OTHER_LIFE})".encode(),
            [attempt.scope.workspace_id, attempt.life],
        ).fetchone()
        return row == (True,)

    def _storable(self, text: str | None) -> str | None:
        return None if text is None else storable(text, self._driver)


@lru_cache
def _completion_literals(
    schema: str, name: str, kind: str, version: str, executed_by: str, checksum: str
) -> tuple[str, str, str]:
    """Write what is the same for all workspaces of a step: the call, and two parts of its arguments."""
    of_step, of_code = (name, kind, version), (executed_by, checksum)
    return (
        f"select {identifier(schema, 'complete_step')}",
        ", ".join(map(literal, of_step)),
        ", ".join(map(literal, of_code)),
    )


def is_forgotten(error: BaseException) -> bool:
    """Tell whether a step was not recorded because its workspace was forgotten while it ran."""
    return isinstance(error, psycopg.Error) and error.sqlstate == NOT_ENROLLED
