"""A worker's side of the tables: what it reads of a run, and what it writes for its coordinator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier
from upgrader.history.keys import LockKeys
from upgrader.model import Step
from upgrader.worker.distributed.chunks import Chunk
from upgrader.worker.distributed.crew import COORDINATOR
from upgrader.worker.distributed.terms import RunTerms
from upgrader.worker.names import worker_schema


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run and a worker's part in it stand.

    Attributes:
        run: as its coordinator told; None where there is no such run.
        is_admitted: whether the worker may begin anything.
    """

    run: str | None
    is_admitted: bool


class MemberBoard:
    """What one worker reads and writes of one run. Each method is one statement in autocommit."""

    def __init__(
        self, driver: Callable[[], psycopg.Connection], *, keys: LockKeys, run_id: str, member_id: str
    ) -> None:
        """Read nothing yet."""
        self._driver = driver
        self._run_id, self._member_id = run_id, member_id
        self._coordinator = keys.presence(run_id, COORDINATOR)
        self._presence = keys.presence(run_id, member_id)
        self._admission = keys.member(run_id, member_id)
        schema = worker_schema(keys.schema)
        self._run, self._member, self._chunk, self._message = (
            identifier(schema, f"distributed_{name}").replace("%", "%%")
            for name in ("run", "member", "chunk", "message")
        )

    @property
    def admission(self) -> str:
        """An expression that is true while this worker may begin something; it takes no lock then."""
        return f"not pg_try_advisory_xact_lock_shared({self._admission})"

    def terms(self) -> RunTerms | None:
        """Read what the run tells its workers; None where it is over, or its coordinator is dead."""
        try:
            row = (
                self._driver()
                .execute(
                    f"select terms from {self._run} where run_id = %s and state <> 'over'"
                    " and not pg_try_advisory_xact_lock_shared(%s)".encode(),
                    [self._run_id, self._coordinator],
                )
                .fetchone()
            )
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return None
        return RunTerms.decode(row[0]) if row else None

    def ask(self, name: str) -> None:
        """Ask to be let in; the worker's own lock is held from here on."""
        self._driver().execute("select pg_advisory_lock(%s)", [self._presence])
        self._write(name, "asking", None)

    def refuse(self, name: str, note: str) -> None:
        """Say why this worker takes no part."""
        self._write(name, "refused", note)

    def _write(self, name: str, state: str, note: str | None) -> None:
        self._driver().execute(
            f"insert into {self._member} (run_id, member_id, name, state, note) values (%s, %s, %s, %s, %s)".encode(),
            [self._run_id, self._member_id, name, state, note],
        )

    def leave(self) -> None:
        """Say that this worker has ended its part by itself."""
        self._driver().execute(
            f"update {self._member} set state = 'left', lanes = 0"
            " where run_id = %s and member_id = %s and state in ('asking', 'admitted')".encode(),
            [self._run_id, self._member_id],
        )

    def claim(self, steps: Mapping[str, Step]) -> Chunk | None:
        """Take the next chunk; None where none waits."""
        row = (
            self._driver()
            .execute(
                f"update {self._chunk} set member_id = %s where run_id = %s and number ="
                f" (select number from {self._chunk} where run_id = %s and member_id is null"
                " order by number limit 1 for update skip locked)"
                " and member_id is null returning number, tasks".encode(),
                [self._member_id, self._run_id, self._run_id],
            )
            .fetchone()
        )
        return Chunk.decode(row[0], row[1], steps) if row else None

    def tick(self, body: str | None, *, lanes: int, pids: Sequence[int]) -> Standing:
        """Say that this worker lives, and what it has to tell; read how the run stands."""
        row = (
            self._driver()
            .execute(
                f"with told as (insert into {self._message} (run_id, member_id, body)"
                " select %(run)s, %(member)s, %(body)s where %(body)s::text is not null),"
                f" seen as (update {self._member} set seen_at = clock_timestamp(), lanes = %(lanes)s, pids = %(pids)s"
                " where run_id = %(run)s and member_id = %(member)s)"
                f" select (select state from {self._run} where run_id = %(run)s),"
                " not pg_try_advisory_xact_lock_shared(%(admission)s)".encode(),
                {
                    "run": self._run_id,
                    "member": self._member_id,
                    "body": body,
                    "lanes": lanes,
                    "pids": list(pids),
                    "admission": self._admission,
                },
            )
            .fetchone()
        )
        return Standing(row[0], row[1]) if row else Standing(None, is_admitted=False)

    def is_admitted(self) -> bool:
        """Tell whether this worker may begin something."""
        row = self._driver().execute(f"select {self.admission}".encode()).fetchone()
        return row == (True,)
