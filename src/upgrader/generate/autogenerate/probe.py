"""What the models ask for, as the server writes it: made for a moment as a temporary table, and read back.

Two texts of the server can be compared; a text of SQLAlchemy and one of the server often say the same in
other words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from upgrader.generate.autogenerate.catalog import Catalog, LiveColumn, LiveConstraint, LiveIndex
from upgrader.generate.autogenerate.sql_writer import SqlWriter, bare

_TABLE = "upgrader_probe"
_CONSTRAINT = "upgrader_probed"  # its index, if it has one, may not be called like the table
_LIKE = "create temp table {probe} (like {table})"


@dataclass(frozen=True)
class _Made:
    columns: list[LiveColumn]
    constraints: list[LiveConstraint]
    indexes: list[LiveIndex]


@dataclass(frozen=True)
class Probe:
    """Has the server write things its own way; each time in a savepoint that is rolled back."""

    catalog: Catalog
    writer: SqlWriter

    def columns(self, table: Table) -> dict[str, LiveColumn]:
        """Give a table's columns with type, collation and default, those left out that cannot be made yet."""
        found = self._columns(table, [column.name for column in table.columns])
        if found is not None:
            return found
        one_by_one = (self._columns(table, [column.name]) for column in table.columns)
        return {name: column for part in one_by_one if part for name, column in part.items()}

    def constraint(self, table: str, definition: str) -> str | None:
        """Give a constraint's definition; None where it cannot be made, for want of a new column for example."""
        found = self._made(
            _LIKE.format(probe=_TABLE, table=table),
            f"alter table {_TABLE} add constraint {_CONSTRAINT} {definition}",
        )
        if found is None:
            return None
        return next((one.definition for one in found.constraints if one.name == _CONSTRAINT), None)

    def index(self, table: str, statement: str, name: str) -> str | None:
        """Give an index's definition, likewise; `statement` is CREATE INDEX on the table."""
        head, _, tail = statement.partition(f" ON {table} ")
        found = self._made(_LIKE.format(probe=_TABLE, table=table), f"{head} ON {_TABLE} {tail}")
        return (
            next((one.definition for one in found.indexes if bare(one.name) == name), None) if found else None
        )

    def rewrites(self, table: str, change: str) -> bool | None:
        """Tell whether ALTER TABLE writes the whole table anew; None where it cannot be tried."""
        connection, find = self.catalog.connection, f"select pg_relation_filenode('pg_temp.{_TABLE}')"
        try:
            with connection.begin_nested() as savepoint:
                connection.exec_driver_sql(_LIKE.format(probe=_TABLE, table=table))
                before = connection.exec_driver_sql(find).scalar_one()
                alter = f"alter table {_TABLE} {change}"
                connection.exec_driver_sql(alter, execution_options={"no_parameters": True})
                after = connection.exec_driver_sql(find).scalar_one()
                savepoint.rollback()
        except DBAPIError:
            return None
        return bool(before != after)

    def _columns(self, table: Table, names: Iterable[str]) -> dict[str, LiveColumn] | None:
        lines = []
        for name in names:
            column = table.columns[name]
            default = self.writer.default(column)
            line = f"{self.writer.quote(name)} {self.writer.type(column.type)}"
            lines.append(f"{line} default {default}" if default else line)
        found = self._made(f"create temp table {_TABLE} ({', '.join(lines)})")
        return {one.name: one for one in found.columns} if found else None

    def _made(self, *statements: str) -> _Made | None:
        connection, name = self.catalog.connection, f"pg_temp.{_TABLE}"
        try:
            with connection.begin_nested() as savepoint:
                for statement in statements:
                    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
                found = _Made(
                    self.catalog.columns(name),
                    self.catalog.constraints(name),
                    self.catalog.indexes(name),
                )
                savepoint.rollback()
        except DBAPIError:
            return None
        return found
