"""100 tables with all that commonly is in them, and another way to make the same."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, UUID
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateIndex, SetColumnComment

TABLES = 100

metadata = MetaData(schema="core")
kind = ENUM("small", "large", name="kind", schema="core", metadata=metadata)


def _table(number: int) -> Table:
    name = f"entity_with_a_rather_long_name_number_{number:03}"
    parent = f"core.entity_with_a_rather_long_name_number_{number // 2:03}.id"
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("parent_entity_of_this_one_id", ForeignKey(parent, ondelete="SET NULL")),
        Column("token", UUID(), nullable=False, server_default=func.gen_random_uuid()),
        Column("kind", kind, nullable=False, server_default="small"),
        Column("title", String(80), nullable=False, comment=f"title of {number}"),
        Column("status", String(10), nullable=False, server_default="new"),
        Column("amount", Numeric(12, 2)),
        Column("made", DateTime(timezone=True), server_default=func.now(), index=True),
        Column("tags", ARRAY(Text)),
        Column("data", JSONB, server_default=text("'{}'::jsonb")),
        CheckConstraint("amount >= 0"),
        CheckConstraint("status IN ('new', 'old')"),
        CheckConstraint("amount < 1000 OR title <> ''"),
        UniqueConstraint("title", "status", "parent_entity_of_this_one_id"),
        Index(f"ix_{number}_open", "title", postgresql_where=text("status = 'new'")),
        Index(f"ix_{number}_tags", "tags", postgresql_using="gin"),
    )


tables = [_table(number) for number in range(TABLES)]


def build_otherwise(connection: Connection) -> None:
    """Make the same tables bare, then their columns last to first, then constraints and indexes likewise."""
    connection.execute(text("create schema core"))
    kind.create(connection)
    for table in tables:
        connection.execute(text(f"create table core.{table.name} ()"))
        preparer = connection.dialect.ddl_compiler(connection.dialect, None)
        for column in reversed(table.columns.values()):
            specification = preparer.process(CreateColumn(column)).replace("%%", "%")
            connection.exec_driver_sql(f"alter table core.{table.name} add column {specification}")
            if column.comment:
                connection.execute(SetColumnComment(column))
    for table in tables:
        connection.exec_driver_sql(f"alter table core.{table.name} add primary key (id)")
    for table in tables:
        for constraint in sorted(table.constraints, key=lambda one: one._creation_order, reverse=True):
            if constraint is not table.primary_key:
                # Isolated, it would be missing from create_all() from now on.
                connection.execute(AddConstraint(constraint, isolate_from_table=False))
        for index in table.indexes:
            connection.execute(CreateIndex(index))
