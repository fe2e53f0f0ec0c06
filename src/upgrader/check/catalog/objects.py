"""The objects of a database as values that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ObjectKind(StrEnum):
    """What an object is, as people call it."""

    SCHEMA = "schema"
    EXTENSION = "extension"
    COLLATION = "collation"
    ENUM = "enum"
    DOMAIN = "domain"
    DOMAIN_CONSTRAINT = "domain constraint"
    TYPE = "type"
    SEQUENCE = "sequence"
    FUNCTION = "function"
    TABLE = "table"
    PARTITION = "partition"
    COLUMN = "column"
    COLUMN_SEQUENCE = "column's sequence"
    CONSTRAINT = "constraint"
    INDEX = "index"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    TRIGGER = "trigger"
    POLICY = "policy"
    RULE = "rule"
    STATISTICS = "statistics"


OWNERS = frozenset(
    {
        ObjectKind.TABLE,
        ObjectKind.PARTITION,
        ObjectKind.VIEW,
        ObjectKind.MATERIALIZED_VIEW,
        ObjectKind.DOMAIN,
    }
)
"""Kinds of which others are parts: a column of a table, an index of a materialized view."""

Facets = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class CatalogObject:
    """One object.

    Attributes:
        schema: where it lies; "" for what lies in none (an extension).
        owner: the table, view or domain that it is a part of; None for what stands by itself.
        name: bare; of a function with the types of its arguments.
        facets: what it is like, as the server prints it. A None means that nothing is said about it.
    """

    kind: ObjectKind
    schema: str
    owner: str | None
    name: str
    facets: Facets = field(default_factory=dict, hash=False)

    @property
    def key(self) -> tuple[ObjectKind, str, str | None, str]:
        """What tells it apart within its database."""
        return (self.kind, self.schema, self.owner, self.name)

    @property
    def is_owner(self) -> bool:
        """Whether others may be parts of it."""
        return self.kind in OWNERS

    @property
    def path(self) -> str:
        """Its name for people and patterns: `core.invoice.total`."""
        if self.kind is ObjectKind.SCHEMA:
            return self.name
        return ".".join(part for part in (self.schema, self.owner, self.name) if part)


@dataclass(frozen=True)
class Catalog:
    """All objects of some schemas, by their keys."""

    objects: Mapping[tuple[ObjectKind, str, str | None, str], CatalogObject]

    def __iter__(self) -> Iterator[CatalogObject]:
        return iter(self.objects.values())

    def __len__(self) -> int:
        return len(self.objects)

    def kinds(self) -> frozenset[ObjectKind]:
        """Give the kinds of which there is at least one."""
        return frozenset(found.kind for found in self)
