"""How far a backfill is, kept beside the history in the transactions of its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psycopg

from upgrader.backfill.keys import BY_CTID, WalkKey
from upgrader.backfill.ranges import KeyValue
from upgrader.backfill.table import WalkedTable
from upgrader.database.connect import identifier, literal
from upgrader.errors import StepError
from upgrader.model import Scope

_COLUMNS = (
    "id, label, checksum, relation, relation_oid, filenode, key_columns, last_key, upper_key, rows_done, batches,"
    " rows_estimated, batch_rows, rows_per_second, is_finished, pass, is_clearing,"
    " (select array_agg(own::bigint order by own) from unnest(own_transactions) span,"
    " generate_series(lower(span), upper(span) - 1) own)"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a backfill is.

    Attributes:
        id: None where it is not kept.
        checksum: of the command, when the backfill began.
        filenode: of the table, when it began; a walk by ctid makes no sense after a rewrite.
        last_key: everything up to it is done; None at the beginning. By ctid the first page that is not.
        upper_key: the end, fixed at the start; None for an empty table.
        rows_done: gone through, by all runs together.
        own_transactions: the batches' transactions, by ctid only.
        walk: 1 for the first walk through the table; by ctid there may be another for rows that have moved.
        is_clearing: by ctid, whether rows that were changed are none of those to be changed any more; None where
            no row was changed yet, or nothing tells.
    """

    label: str
    checksum: str
    relation: str
    relation_oid: int
    filenode: int
    key_columns: tuple[str, ...]
    last_key: KeyValue | None = None
    upper_key: KeyValue | None = None
    rows_done: int = 0
    batches: int = 0
    rows_estimated: int | None = None
    batch_rows: int | None = None
    rows_per_second: float | None = None
    is_finished: bool = False
    walk: int = 1
    is_clearing: bool | None = None
    own_transactions: tuple[int, ...] = ()
    id: int | None = None

    def check(self, table: WalkedTable, key: WalkKey, *, is_kept: bool) -> None:
        """Make sure that the walk can go on.

        Args:
            is_kept: the operator says that it is the same table, whatever the catalog says.

        Raises:
            StepError: the table is not what it was.
        """
        restart = "begin again at its first row: upgrader upgrade … --restart-backfill"
        if self.key_columns != key.names:
            old = ", ".join(self.key_columns) or BY_CTID
            raise StepError(
                f"{table} was walked along {old} until now, and would be along {key} from here", hint=restart
            )
        if key.is_ctid and self.filenode != table.filenode:
            raise StepError(
                f"{table} was rewritten since its backfill began (VACUUM FULL, CLUSTER, TRUNCATE):"
                " its rows lie elsewhere",
                hint=restart,
            )
        if self.relation_oid != table.oid and not is_kept:
            raise StepError(
                f"{table} was made anew since its backfill began",
                hint=f"{restart}; or, if it holds the same rows, go on with --keep-checkpoint",
            )


class Checkpoints(Protocol):
    """Where the checkpoints of one step in one scope are kept."""

    def all(self) -> list[Checkpoint]:
        """Give those of the step."""

    def find(self, label: str) -> Checkpoint | None:
        """Give the one of a label."""

    def create(self, checkpoint: Checkpoint) -> Checkpoint:
        """Keep a new one, in the transaction at hand."""

    def moving(self, before: Checkpoint, after: Checkpoint, *, rows: int) -> str:
        """Give the SQL that moves one on, for the end of its batch's transaction."""

    def drop(self) -> None:
        """Forget all of the step: it begins again."""

    def adopt(self, checksum: str) -> None:
        """Take all of the step for those of another text of the command."""


class SqlCheckpoints:
    """Checkpoints in the history schema."""

    def __init__(
        self,
        driver: Callable[[], psycopg.Connection],
        schema: str,
        *,
        step: str,
        scope: Scope,
        run_id: str,
        waits_for_disk: bool = True,
    ) -> None:
        """Read nothing yet.

        Args:
            driver: the connection on which batches run.
            waits_for_disk: whether a batch is on disk when its commit returns. If not, a crash of the server may
                take the last ones back, rows and checkpoint alike, and they are done again; the commit that
                completes the step waits for all that was committed before it.
        """
        self._driver = driver
        self._schema = schema
        self._table = identifier(schema, "backfill").replace("%", "%%")
        self._step, self._scope, self._run_id = step, scope, run_id
        self._commit = "" if waits_for_disk else "set local synchronous_commit = off; "

    @property
    def _key(self) -> list[str]:
        return [self._scope.workspace_id or "", self._step]

    def all(self) -> list[Checkpoint]:
        """Give those of the step."""
        return list(self._read("order by id", []))

    def find(self, label: str) -> Checkpoint | None:
        """Give the one of a label."""
        return next(self._read("and label = %s", [label]), None)

    def _read(self, more: str, values: list[str]) -> Iterator[Checkpoint]:
        rows = self._driver().execute(
            f"select {_COLUMNS} from {self._table}"
            f" where coalesce(workspace_id, '') = %s and step = %s {more}".encode(),
            [*self._key, *values],
        )
        return map(_checkpoint, rows.fetchall())

    def create(self, checkpoint: Checkpoint) -> Checkpoint:
        """Keep a new one, in the transaction at hand."""
        row = (
            self._driver()
            .execute(
                f"insert into {self._table} (step, workspace_id, label, checksum, relation, relation_oid, filenode,"
                " key_columns, upper_key, rows_estimated, is_finished, run_id)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id".encode(),
                [
                    self._step,
                    self._scope.workspace_id,
                    checkpoint.label,
                    checkpoint.checksum,
                    checkpoint.relation,
                    checkpoint.relation_oid,
                    checkpoint.filenode,
                    list(checkpoint.key_columns),
                    list(checkpoint.upper_key) if checkpoint.upper_key is not None else None,
                    checkpoint.rows_estimated,
                    checkpoint.is_finished,
                    self._run_id,
                ],
            )
            .fetchone()
        )
        assert row is not None
        return replace(checkpoint, id=row[0])

    def moving(self, before: Checkpoint, after: Checkpoint, *, rows: int) -> str:
        """Give the SQL that moves one on, for the end of its batch's transaction."""
        numbers = (rows, after.batch_rows, after.rows_per_second)
        state = (after.is_finished, after.walk, after.is_clearing, self._run_id)
        arguments = [
            *map(literal, (before.id, before.batches)),
            *map(_array, (after.last_key, after.upper_key)),
            *map(literal, (*numbers, *state)),
        ]
        return f"{self._commit}select {identifier(self._schema, 'move_backfill')}({', '.join(arguments)})"

    def drop(self) -> None:
        """Forget all of the step: it begins again."""
        function = identifier(self._schema, "end_backfills").replace("%", "%%")
        self._driver().execute(f"select {function}(%s, %s)".encode(), [self._scope.workspace_id, self._step])

    def adopt(self, checksum: str) -> None:
        """Take all of the step for those of another text of the command."""
        self._driver().execute(
            f"update {self._table} set checksum = %s where coalesce(workspace_id, '') = %s and step = %s".encode(),
            [checksum, *self._key],
        )


class NoCheckpoints:
    """Checkpoints of a trial: nothing is kept and nothing is found."""

    def all(self) -> list[Checkpoint]:
        """Give none."""
        return []

    def find(self, label: str) -> Checkpoint | None:
        """Give none."""
        del label
        return None

    def create(self, checkpoint: Checkpoint) -> Checkpoint:
        """Keep nothing."""
        return checkpoint

    def moving(self, before: Checkpoint, after: Checkpoint, *, rows: int) -> str:
        """Give no SQL."""
        del before, after, rows
        return "select"

    def drop(self) -> None:
        """Forget nothing."""

    def adopt(self, checksum: str) -> None:
        """Change nothing."""
        del checksum


def _array(key: KeyValue | None) -> str:
    return f"array[{', '.join(map(literal, key))}]::text[]" if key is not None else "null"


def _checkpoint(row: tuple[Any, ...]) -> Checkpoint:
    return Checkpoint(
        id=row[0],
        label=row[1],
        checksum=row[2],
        relation=row[3],
        relation_oid=row[4],
        filenode=row[5],
        key_columns=tuple(row[6]),
        last_key=tuple(row[7]) if row[7] is not None else None,
        upper_key=tuple(row[8]) if row[8] is not None else None,
        rows_done=row[9],
        batches=row[10],
        rows_estimated=row[11],
        batch_rows=row[12],
        rows_per_second=row[13],
        is_finished=row[14],
        walk=row[15],
        is_clearing=row[16],
        own_transactions=tuple(row[17] or ()),
    )
