"""SQLAlchemy's constructs as the SQL text that a person would write, for the server at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Computed, Connection, Constraint, Identity, Index, MetaData, String, Table
from sqlalchemy.dialects.postgresql import CreateDomainType, CreateEnumType, DropDomainType, DropEnumType
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateSequence, DropSchema, DropSequence
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeEngine

QUOTED = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")""")
DOLLAR = re.compile(r"\$(?:[A-Za-z_]\w*)?\$")
# Made and dropped apart from the tables: by looking whether they are there.
_APART = (
    CreateEnumType,
    DropEnumType,
    CreateDomainType,
    DropDomainType,
    CreateSequence,
    DropSequence,
    CreateSchema,
    DropSchema,
)


class SqlWriter:
    """Writes SQL."""

    def __init__(self, connection: Connection) -> None:
        """Learn the server's version: what SQL is right depends on it."""
        # "named": the other styles write %% for %, which is wrong where no driver halves it again.
        untyped: Any = PGDialect
        self.dialect: PGDialect = untyped(paramstyle="named")
        untyped.initialize(self.dialect, connection)
        compilers: Any = self.dialect
        self._ddl: Any = compilers.ddl_compiler(self.dialect, None)
        self._values: Any = compilers.statement_compiler(self.dialect, None)
        self._preparer: Any = self.dialect.identifier_preparer

    def ddl(self, construct: ClauseElement) -> str:
        """Write a construct as one statement."""
        return tidy(str(construct.compile(dialect=self.dialect)))

    def table(self, table: Table) -> str:
        """Write a table's name, qualified as in the metadata."""
        return str(self._preparer.format_table(table))

    def quote(self, name: str) -> str:
        """Write a name as an identifier, in quotes where it needs them."""
        return str(self._preparer.quote(name))

    def literal(self, value: str) -> str:
        """Write a text as an SQL literal."""
        return str(self._values.render_literal_value(value, String()))

    def column(self, column: Column[Any]) -> str:
        """Write a column as in CREATE TABLE, without its constraints."""
        return tidy(str(self._ddl.get_column_specification(column)))

    def type(self, type_: TypeEngine[Any]) -> str:
        """Write a type."""
        return str(type_.compile(dialect=self.dialect))

    def default(self, column: Column[Any]) -> str:
        """Write a column's server default, without DEFAULT; "" where it has none."""
        if isinstance(column.server_default, Computed | Identity):
            return ""
        return str(self._ddl.get_column_default_string(column) or "")

    def constraint_name(self, constraint: Constraint) -> str | None:
        """Write a constraint's name as an identifier, by the naming convention; None where it has none."""
        name = None if constraint.name is None else self._preparer.format_constraint(constraint)
        return None if name is None else str(name)

    def constraint(self, constraint: Constraint) -> str:
        """Write what follows ADD [CONSTRAINT name]: the definition alone."""
        text = tidy(str(self._ddl.process(constraint)))
        name = self.constraint_name(constraint)
        return text.removeprefix(f"CONSTRAINT {name} ") if name else text

    def index(self, index: Index) -> str:
        """Write CREATE INDEX."""
        return self.ddl(CreateIndex(index))

    def create_tables(self, metadata: MetaData, tables: Sequence[Table]) -> list[str]:
        """Give the statements of `create_all` for some tables, without types, sequences and schemas."""
        return list(self._recorded(lambda mock: metadata.create_all(mock, tables=tables)))

    def drop_tables(self, metadata: MetaData, tables: Sequence[Table]) -> list[str]:
        """Give the statements of `drop_all` for some tables, without types, sequences and schemas."""
        return list(self._recorded(lambda mock: metadata.drop_all(mock, tables=tables)))

    def _recorded(self, work: Callable[[Any], None]) -> Iterator[str]:
        found: list[ClauseElement] = []
        work(MockConnection(self.dialect, lambda construct, *_, **__: found.append(construct)))
        statements = [
            (isinstance(one, CreateIndex), self.ddl(one)) for one in found if not isinstance(one, _APART)
        ]
        # The indexes of a table are a set, whose order changes from run to run.
        for is_index, group in groupby(statements, key=itemgetter(0)):
            texts = [text for _, text in group]
            yield from sorted(texts) if is_index else texts


def tidy(sql: str) -> str:
    """Take out the blanks that SQLAlchemy leaves: tabs, and those before a line's end; quoted parts stay."""
    if DOLLAR.search(sql):  # the body of a function, from an event of a table
        return sql.strip()
    parts = QUOTED.split(sql.strip())
    parts[::2] = [re.sub(r" +(?=\n)", "", part.replace("\t", "    ")) for part in parts[::2]]
    return "".join(parts).strip()


def bare(identifier: str) -> str:
    """Take an identifier's quotes off."""
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
