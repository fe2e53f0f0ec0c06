"""The coordinator's side of the tables: what it writes for its workers, and what it reads of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier
from upgrader.history.keys import LockKeys
from upgrader.worker.distributed.chunks import Chunk
from upgrader.worker.distributed.layout import DISTRIBUTED
from upgrader.worker.distributed.terms import RunTerms
from upgrader.worker.layout import bring_up_to_date
from upgrader.worker.names import worker_schema

_TABLES = ("distributed_run", "distributed_member", "distributed_chunk", "distributed_message")


@dataclass(frozen=True, slots=True)
class SeenMember:
    """A worker, as its row stands.

    Attributes:
        state: `asking`, `admitted`, `refused`, `left` (it ended by itself) or `given-up`.
        silent_seconds: how long ago it wrote last, by the server's clock.
        pids: of the server processes of its sessions, as far as it told.
    """

    member_id: str
    name: str
    state: str
    note: str | None
    lanes: int
    silent_seconds: float
    pids: tuple[int, ...]


class CoordinatorBoard:
    """What the coordinator of one run writes and reads. Each method is one or a few statements in autocommit."""

    def __init__(self, driver: Callable[[], psycopg.Connection], *, history_schema: str, run_id: str) -> None:
        """Write nothing yet.

        Args:
            driver: gives an open connection in autocommit.
        """
        self._get_driver = driver
        self._run_id = run_id
        self._keys = LockKeys.of(history_schema)
        self._schema = worker_schema(history_schema)
        self._name = identifier(self._schema, _TABLES[0])
        self._run, self._member, self._chunk, self._message = (
            identifier(self._schema, name).replace("%", "%%") for name in _TABLES
        )

    @property
    def _driver(self) -> psycopg.Connection:
        return self._get_driver()

    def open(self, terms: RunTerms) -> None:
        """Say that the run is under way."""
        driver = self._driver
        bring_up_to_date(driver, self._schema, parts=(DISTRIBUTED,))
        self.clear()
        driver.execute(
            f"insert into {self._run} (run_id, terms) values (%s, %s)".encode(),
            [self._run_id, terms.encode()],
        )

    def tell(self, state: str) -> None:
        """Tell the workers how the run stands: `running`, `ending` (no workspace is begun any more), `stopping`
        (nor a step), `cancelled` (steps in progress are cancelled) or `over`.
        """
        self._driver.execute(
            f"update {self._run} set state = %s where run_id = %s".encode(), [state, self._run_id]
        )

    def clear(self) -> None:
        """Take everything away, of runs before this one too: they are dead, for this one has the run lock.

        Only right after a look at the lock, or on its session: once that is gone another coordinator may be at work.
        """
        driver = self._driver
        (is_there,) = driver.execute("select to_regclass(%s) is not null", [self._name]).fetchone() or (
            False,
        )
        for table in (self._run, self._member, self._chunk, self._message) if is_there else ():
            driver.execute(f"delete from {table}".encode(), [])

    def remove(self) -> None:
        """Take everything of the run away, on whatever session."""
        for table in (self._run, self._member, self._chunk, self._message):
            self._driver.execute(f"delete from {table} where run_id = %s".encode(), [self._run_id])

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Let workers take these chunks."""
        self._driver.execute(
            # As one text: the driver takes long to write an array of texts with many quotes in them.
            f"insert into {self._chunk} (run_id, number, tasks)"
            " select %s, (c ->> 0)::int, c ->> 1 from json_array_elements(%s::json) c".encode(),
            [self._run_id, json.dumps([[one.number, one.encode()] for one in chunks])],
        )

    def withdraw(self) -> set[int]:
        """Take back the chunks that nobody has taken; give their numbers."""
        rows = self._driver.execute(
            f"delete from {self._chunk} where run_id = %s and member_id is null returning number".encode(),
            [self._run_id],
        )
        return {number for (number,) in rows}

    def drop(self, numbers: Collection[int]) -> None:
        """Forget chunks that have come to their end."""
        self._driver.execute(
            f"delete from {self._chunk} where run_id = %s and number = any(%s)".encode(),
            [self._run_id, list(numbers)],
        )

    def holders(self) -> dict[int, str | None]:
        """Give who has which chunk, None for nobody yet."""
        rows = self._driver.execute(
            f"select number, member_id from {self._chunk} where run_id = %s".encode(), [self._run_id]
        )
        return dict(rows.fetchall())

    def messages(self) -> list[tuple[str, str]]:
        """Take what was written since the last time, in order: the id of the member and the body."""
        rows = self._driver.execute(
            f"with taken as (delete from {self._message} where run_id = %s returning id, member_id, body)"
            " select member_id, body from taken order by id".encode(),
            [self._run_id],
        )
        return rows.fetchall()

    def members(self) -> list[SeenMember]:
        """Read the workers' rows."""
        rows = self._driver.execute(
            "select member_id, name, state, note, lanes,"
            " extract(epoch from clock_timestamp() - seen_at)::float8, pids"
            f" from {self._member} where run_id = %s".encode(),
            [self._run_id],
        )
        return [
            SeenMember(id_, name, state, note, lanes, silent, tuple(pids))
            for id_, name, state, note, lanes, silent, pids in rows
        ]

    def admit(self, member_id: str) -> bool:
        """Write that a worker is let in; False where it does not ask any more."""
        done = self._driver.execute(
            f"update {self._member} set state = 'admitted' where run_id = %s and member_id = %s"
            " and state = 'asking'".encode(),
            [self._run_id, member_id],
        )
        return done.rowcount == 1

    def give_up(self, member_id: str) -> None:
        """Write that a worker was shut out."""
        self._driver.execute(
            f"update {self._member} set state = 'given-up' where run_id = %s and member_id = %s".encode(),
            [self._run_id, member_id],
        )

    def present(self, member_ids: Collection[str]) -> set[str]:
        """Give those whose own session still holds its lock."""
        keys = {self._keys.presence(self._run_id, member_id): member_id for member_id in member_ids}
        rows = self._driver.execute(
            "select k from unnest(%s::bigint[]) k where not pg_try_advisory_xact_lock_shared(k)", [list(keys)]
        )
        return {keys[key] for (key,) in rows}

    def alive(self, pids: Collection[int]) -> list[int]:
        """Give which of these sessions of the run are still there."""
        rows = self._driver.execute(
            "select pid from pg_stat_activity where pid = any(%s) and application_name like %s",
            [list(pids), f"upgrader/{self._run_id}%"],
        )
        return [pid for (pid,) in rows]

    def interrupt_running(self, workspace_ids: Collection[str], *, history: str) -> None:
        """Turn attempts that a lost worker left unfinished into interrupted ones."""
        self._driver.execute(
            f"update {history} set status = 'interrupted', finished_at = clock_timestamp(),"
            " error_message = 'the worker that executed this attempt was lost before its end'"
            " where status = 'running' and workspace_id = any(%s)".encode(),
            [list(workspace_ids)],
        )
