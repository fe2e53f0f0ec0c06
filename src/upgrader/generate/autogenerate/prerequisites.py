"""What tables need before they can be made: schemas, enums, domains, sequences; each once, where it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ARRAY, Sequence
from sqlalchemy.dialects.postgresql import (
    DOMAIN,
    ENUM,
    CreateDomainType,
    CreateEnumType,
    DropDomainType,
    DropEnumType,
)
from sqlalchemy.schema import CreateSequence, DropSequence
from sqlalchemy.types import TypeDecorator, TypeEngine

from upgrader.generate.autogenerate.change import Change, Stage
from upgrader.generate.autogenerate.ground import Ground


def collect_prerequisites(ground: Ground) -> None:
    """Add what the metadata's tables need and the database has not."""
    _schemas(ground)
    types: dict[str, ENUM | DOMAIN] = {}
    for table in ground.scope.tables:
        for column in table.columns:
            for type_ in _named_types(column.type, ground):
                types.setdefault(ground.writer.type(type_), type_)
    for name, type_ in types.items():
        if not ground.catalog.has_type(name):
            _create_type(name, type_, ground)
        elif isinstance(type_, ENUM):
            _add_labels(name, type_, ground)
    _sequences(ground)


def _schemas(ground: Ground) -> None:
    for schema in sorted({table.schema for table in ground.scope.tables if table.schema}):
        if not ground.catalog.has_schema(schema):
            name = ground.writer.quote(schema)
            change = Change(Stage.SCHEMAS, (f"CREATE SCHEMA {name}",), (f"DROP SCHEMA {name}",))
            ground.changes.main.append(change)


def _named_types(type_: TypeEngine[Any], ground: Ground) -> Iterator[ENUM | DOMAIN]:
    """Give the types with a name of their own below a column's type, those that others are made of first."""
    dialect = ground.writer.dialect
    found = type_
    while isinstance(found, TypeDecorator):
        found = found.load_dialect_impl(dialect)
    found = found.dialect_impl(dialect)
    while isinstance(found, TypeDecorator):
        found = found.load_dialect_impl(dialect).dialect_impl(dialect)
    if isinstance(found, ARRAY):
        yield from _named_types(found.item_type, ground)
    elif isinstance(found, DOMAIN):
        yield from _named_types(found.data_type, ground)
        yield found
    elif isinstance(found, ENUM):
        yield found


def _create_type(name: str, type_: ENUM | DOMAIN, ground: Ground) -> None:
    ddl = ground.writer.ddl
    if isinstance(type_, ENUM):
        change = Change(Stage.TYPES, (ddl(CreateEnumType(type_)),), (ddl(DropEnumType(type_)),))
    else:
        change = Change(Stage.TYPES, (ddl(CreateDomainType(type_)),), (ddl(DropDomainType(type_)),))
    del name
    ground.changes.main.append(change)


def _add_labels(name: str, enum: ENUM, ground: Ground) -> None:
    live = ground.catalog.labels(name)
    wanted = list(enum.enums)
    literal = ground.writer.literal
    for position, label in enumerate(wanted):
        if label in live:
            continue
        before = [one for one in wanted[:position] if one in live]
        place = f" AFTER {literal(before[-1])}" if before else f" BEFORE {literal(live[0])}" if live else ""
        live.insert(live.index(before[-1]) + 1 if before else 0, label)
        change = Change(
            Stage.TYPES,
            (f"ALTER TYPE {name} ADD VALUE {literal(label)}{place}",),
            lost=f"PostgreSQL takes no value out of an enum: {label!r} of {name} stays.",
        )
        ground.changes.labels.append(change)
    extra = [label for label in live if label not in wanted]
    if extra:
        told = ", ".join(map(repr, extra))
        ground.warn(
            f"the enum {name} has values that the metadata has not: {told}; PostgreSQL cannot drop them"
        )


def _sequences(ground: Ground) -> None:
    ddl, seen = ground.writer.ddl, set[str]()
    for sequence in _metadata_sequences(ground):
        name = str(ground.writer.dialect.identifier_preparer.format_sequence(sequence))
        if name not in seen and not ground.catalog.has_relation(name):
            seen.add(name)
            change = Change(Stage.TYPES, (ddl(CreateSequence(sequence)),), (ddl(DropSequence(sequence)),))
            ground.changes.main.append(change)


def _metadata_sequences(ground: Ground) -> Iterator[Sequence]:
    scope = ground.scope
    for metadata in scope.metadata:
        for sequence in metadata._sequences.values():
            if (sequence.schema or scope.default_schema) in scope.schemas:
                yield sequence
