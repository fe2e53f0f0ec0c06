"""The statement that changes the rows of one batch, made of what the author gave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from upgrader.backfill.ranges import KeyRange
from upgrader.backfill.table import WalkedTable
from upgrader.database.statements import bare_statements
from upgrader.errors import StepError

_PLACE = re.compile(r"\{\s*(?:(?P<alias>[^{}]+?)\.)?batch\s*\}")
_QUOTED = re.compile(r'"(?:[^"]|"")+"')
_EXAMPLE = 'update="UPDATE core.invoice SET total = net + tax WHERE {batch} AND total IS NULL"'


@dataclass(frozen=True, slots=True)
class BatchChange:
    """What is done to the rows of each batch, as the author wrote it: SQL as it is, without parameters.

    `%`, `:` and braces other than `{batch}` stand for themselves.

    Attributes:
        update: a whole statement with `{batch}`, or `{alias.batch}` where it gives the table an alias.
        set_: columns and the SQL expressions for them; with `from_` and `where` as an UPDATE has them.
    """

    update: str | None = None
    set_: Mapping[str, str] | None = None
    from_: str | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a statement, before anything runs.

        Raises:
            StepError: it is not.
        """
        if (self.update is None) == (self.set_ is None):
            raise StepError(
                "a backfill takes either set_ or update",
                hint=f'set_={{"total": "net + tax"}}, where="total IS NULL", or {_EXAMPLE}',
            )
        if self.set_ is not None:
            self._check_set()
        elif self.from_ is not None or self.where is not None:
            raise StepError("from_ and where belong to set_", hint="write them into the statement of update=")
        elif self.update is not None:
            _check_update(self.update)

    def _check_set(self) -> None:
        if not self.set_:
            raise StepError("set_ of the backfill is empty", hint='name columns: set_={"total": "net + tax"}')
        optional = [part for part in (self.from_, self.where) if part is not None]
        for part in (*self.set_.values(), *optional):
            if not isinstance(part, str):
                raise StepError(
                    f"{part!r} in a backfill is no SQL",
                    hint='values are SQL expressions as text: "0", "\'new\'"',
                )

    @property
    def columns(self) -> frozenset[str]:
        """The columns that `set_` gives another value, as the catalog has their names."""
        given = (self.set_ or {}).items()
        return frozenset(_name(column) for column, value in given if _name(value) != _name(column))

    def sql(self, table: WalkedTable, batch: KeyRange | None) -> str:
        """Give the statement for the rows of a range; without a range for none at all."""
        if self.update is not None:
            return _PLACE.sub(lambda match: _condition(batch, match["alias"] or table.qualified), self.update)
        return self._update(table, _condition(batch, table.qualified))

    def counting_sql(self, table: WalkedTable, batch: KeyRange) -> str:
        """Give the statement so that it tells how many rows it changed, and how many still are as `where` says."""
        returning = (
            f"{self.sql(table, batch)} returning ({_closed(self.where or 'false')}) is true as is_left"
        )
        return f"with changed as ({returning}) select count(*), count(*) filter (where is_left) from changed"

    def left_sql(self, table: WalkedTable, batch: KeyRange) -> str:
        """Give the query for the number of rows of a range that are still to be changed."""
        source = f", {_closed(self.from_)}" if self.from_ else ""
        where = f"({_closed(self.where)}) and " if self.where else ""
        return f"select count(*) from {table.in_from}{source} where {where}{batch.condition(table.qualified)}"

    def sweeping_sql(self, table: WalkedTable, batch: KeyRange, *, rows: int) -> str:
        """Give the statement for rows wherever they are: found in one look at the whole table, then changed.

        What is found in one snapshot cannot hide from it by moving. It tells, after what `counting_sql` tells, how
        many rows it found: one that moves between the two is left for the next time.
        """
        place = f"{table.qualified}.ctid"
        source = f", {_closed(self.from_)}" if self.from_ else ""
        where = f"({_closed(self.where or 'true')})"
        found = (
            f"select {place} as place from {table.in_from}{source}"
            f" where {where} and {batch.condition(table.qualified)} limit {rows}"
        )
        changed = self._update(table, f"{place} = any (array(select found.place from found))")
        return (
            f"with found as materialized ({found}), changed as ({changed} returning {where} is true as is_left)"
            " select count(*), count(*) filter (where is_left), (select count(*) from found) from changed"
        )

    def _update(self, table: WalkedTable, condition: str) -> str:
        columns = ", ".join(f"{column} = {_closed(value)}" for column, value in (self.set_ or {}).items())
        source = f" from {_closed(self.from_)}" if self.from_ else ""
        where = f"({_closed(self.where)}) and " if self.where else ""
        return f"update {table.in_from} set {columns}{source} where {where}{condition}"


def _check_update(statement: str) -> None:
    bare = list(bare_statements(statement))
    if len(bare) > 1:
        raise StepError(
            "update= of the backfill holds several statements",
            hint="give one; ctx.batches() takes any number",
        )
    if not bare or not _PLACE.search(bare[0]):
        raise StepError(
            "update= of the backfill says nowhere which rows a batch has: {batch} is missing", hint=_EXAMPLE
        )


def _name(sql: str) -> str:
    """Give the name that stands in SQL, without what it is qualified with; anything else as it is."""
    last = sql.strip().rpartition(".")[2]
    return last[1:-1].replace('""', '"') if _QUOTED.fullmatch(last) else last.lower()


def _condition(batch: KeyRange | None, prefix: str) -> str:
    return batch.condition(prefix) if batch is not None else "false"


def _closed(sql: str) -> str:
    """Give a piece of SQL so that a comment at its end does not reach what follows."""
    return f"{sql}\n" if "--" in sql else sql
