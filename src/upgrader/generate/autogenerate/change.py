"""What a generated command is made of: changes that can be taken back, and what can not."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from upgrader.generate.autogenerate.index_definition import IndexDefinition


class Stage(IntEnum):
    """The order of changes within one command: what others need comes first."""

    SCHEMAS = 1
    TYPES = 2
    DROP_FOREIGN_KEYS = 3
    DROP_CONSTRAINTS = 4
    TABLES = 5
    COLUMNS = 6
    CONSTRAINTS = 7
    FOREIGN_KEYS = 8
    COMMENTS = 9
    DROP_COLUMNS = 10
    DROP_TABLES = 11


@dataclass(frozen=True, slots=True)
class Change:
    """Statements, and those that take them back, each in the order in which they are executed.

    Attributes:
        lost: a sentence on what the way back cannot bring: "The values of core.invoice.note are gone."
        note: a comment above the first statement.
    """

    stage: Stage
    up: tuple[str, ...]
    down: tuple[str, ...] = ()
    lost: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class IndexChange:
    """An index of a table that is there already; built or dropped while the application writes.

    Attributes:
        name: bare.
        table: as SQL.
        qualified: the index as SQL, for dropping it.
    """

    name: str
    table: str
    qualified: str
    definition: IndexDefinition


@dataclass(frozen=True, slots=True)
class RequiredColumn:
    """A column that has to be filled before it becomes NOT NULL; table and column as SQL, `name` as it is."""

    table: str
    column: str
    name: str


@dataclass
class Changes:
    """All that one comparison asks for, by the command that it goes into.

    Attributes:
        labels: new values of enums: nothing may use one in the transaction that adds it.
        main: what is done at once.
        dropped_indexes, new_indexes: one command each, outside a transaction.
        attached: constraints that take over an index that was built before.
        validated: constraints that were added without a look at the rows.
        required: columns that become NOT NULL.
        warnings: what the author has to know.
    """

    labels: list[Change] = field(default_factory=list)
    main: list[Change] = field(default_factory=list)
    dropped_indexes: list[IndexChange] = field(default_factory=list)
    new_indexes: list[IndexChange] = field(default_factory=list)
    attached: list[Change] = field(default_factory=list)
    validated: list[Change] = field(default_factory=list)
    required: list[RequiredColumn] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
