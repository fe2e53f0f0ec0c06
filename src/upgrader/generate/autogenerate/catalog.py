"""What the live database has, as its own catalog writes it: the source of every way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, text

_COLUMNS = """
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as is_required,
  a.attidentity::text as identity, a.attgenerated::text as generated, pg_get_expr(d.adbin, d.adrelid) as expression,
  case when a.attcollation <> t.typcollation then
    (select quote_ident(n.nspname) || '.' || quote_ident(c.collname) from pg_collation c
     join pg_namespace n on n.oid = c.collnamespace where c.oid = a.attcollation)
  end as collation, col_description(a.attrelid, a.attnum) as comment
from pg_attribute a join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = to_regclass(:table) and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
_CONSTRAINTS = """
select quote_ident(conname) as name, contype::text as type, pg_get_constraintdef(oid) as definition,
  array(select attname::text from pg_attribute where attrelid = conrelid and attnum = any(conkey)) as columns
from pg_constraint
where conrelid = to_regclass(:table) and contype in ('p', 'u', 'c', 'x', 'f') and (conislocal or contype <> 'c')
order by array_position(array['p', 'u', 'c', 'x', 'f'], contype::text), conname
"""
_INDEXES = """
select quote_ident(c.relname) as name, pg_get_indexdef(i.indexrelid) as definition,
  array(select attname::text from pg_attribute where attrelid = i.indrelid
    and (attnum = any(i.indkey) or attnum in (select refobjsubid from pg_depend where classid = 'pg_class'::regclass
      and objid = i.indexrelid and refclassid = 'pg_class'::regclass and refobjid = i.indrelid))
    and attnum > 0) as columns
from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = to_regclass(:table)
  and not exists (select from pg_constraint where conindid = i.indexrelid and contype in ('p', 'u', 'x'))
order by c.relname
"""
_SEQUENCES = """
select s.oid::regclass::text as name, quote_ident(a.attname) as column from pg_depend d
join pg_class s on s.oid = d.objid and s.relkind = 'S'
join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where d.refobjid = to_regclass(:table) and d.classid = 'pg_class'::regclass and d.deptype = 'a'
order by 1
"""
_DEPENDENT_VIEWS = """
select distinct r.ev_class::regclass::text from pg_depend d join pg_rewrite r on r.oid = d.objid
where d.classid = 'pg_rewrite'::regclass and d.refobjid = to_regclass(:table)
  and d.refobjsubid = (select attnum from pg_attribute where attrelid = d.refobjid and attname = :column)
  and r.ev_class <> d.refobjid
order by 1
"""
_GENERATED_FROM = """
select g.attname from pg_depend d join pg_attrdef e on e.oid = d.objid
join pg_attribute g on g.attrelid = e.adrelid and g.attnum = e.adnum and g.attgenerated <> ''
where d.classid = 'pg_attrdef'::regclass and d.refobjid = e.adrelid and e.adrelid = to_regclass(:table)
  and d.refobjsubid = (select attnum from pg_attribute where attrelid = e.adrelid and attname = :column)
  and d.refobjsubid <> e.adnum
order by g.attnum
"""
# The server tells whether it casts by itself when it assigns; text takes everything.
_IS_ASSIGNABLE = """
select old.oid = new.oid or new.typcategory = 'S' and new.typtype = 'b' or exists (
    select from pg_cast where castsource = old.oid and casttarget = new.oid and castcontext in ('a', 'i'))
from pg_type old, pg_type new
where old.oid = to_regtype(:old) and new.oid = to_regtype(:new)
"""
_NOT_COMPARED = """
select n.nspname::text as schema, c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and (c.relispartition or exists (
    select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e'))
"""


@dataclass(frozen=True, slots=True)
class LiveConstraint:
    """A constraint; `name` is an identifier, `type` as in pg_constraint."""

    name: str
    type: str
    definition: str
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """An index that belongs to no constraint; `definition` is the whole statement."""

    name: str
    definition: str
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column.

    Attributes:
        name: bare.
        expression: of its default, or what it is generated from.
        identity: "" where it is none, else `a` (always) or `d` (by default).
        generated: "" where it is not, else `s` (stored) or `v` (virtual).
    """

    name: str
    type: str
    is_required: bool
    identity: str
    generated: str
    expression: str | None
    collation: str | None
    comment: str | None

    @property
    def specification(self) -> str:
        """The column as in CREATE TABLE, behind its name."""
        parts = [self.type, f"COLLATE {self.collation}" if self.collation else ""]
        if self.identity:
            parts.append(f"GENERATED {'ALWAYS' if self.identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
        elif self.generated:
            stored = " STORED" if self.generated == "s" else " VIRTUAL"
            parts.append(f"GENERATED ALWAYS AS ({self.expression}){stored}")
        elif self.expression is not None:
            parts.append(f"DEFAULT {self.expression}")
        if self.is_required and not self.identity:
            parts.append("NOT NULL")
        return " ".join(part for part in parts if part)


class Catalog:
    """Looks things up; tables are named as SQL, and found through the `search_path` where unqualified."""

    def __init__(self, connection: Connection) -> None:
        """Look nothing up yet."""
        self.connection = connection

    def columns(self, table: str) -> list[LiveColumn]:
        """Give a table's columns in order; none where there is no table."""
        return [LiveColumn(**row._mapping) for row in self._rows(_COLUMNS, table=table)]

    def column(self, table: str, name: str) -> LiveColumn:
        """Give one column."""
        return next(one for one in self.columns(table) if one.name == name)

    def constraints(self, table: str) -> list[LiveConstraint]:
        """Give a table's constraints, foreign keys last."""
        return [LiveConstraint(**row._mapping) for row in self._rows(_CONSTRAINTS, table=table)]

    def indexes(self, table: str) -> list[LiveIndex]:
        """Give a table's indexes but those of constraints."""
        return [LiveIndex(**row._mapping) for row in self._rows(_INDEXES, table=table)]

    def sequences(self, table: str) -> list[tuple[str, str]]:
        """Give the sequences that go with a table, each with the column that owns it."""
        return [(row.name, row.column) for row in self._rows(_SEQUENCES, table=table)]

    def comment(self, table: str) -> str | None:
        """Give a table's comment."""
        value = self._value("select obj_description(to_regclass(:table), 'pg_class')", table=table)
        return None if value is None else str(value)

    def partition_key(self, table: str) -> str | None:
        """Give what follows PARTITION BY; None for a table that is not partitioned."""
        value = self._value("select pg_get_partkeydef(to_regclass(:table))", table=table)
        return None if value is None else str(value)

    def views_on(self, table: str, column: str) -> list[str]:
        """Name the views that use a column."""
        return [str(row[0]) for row in self._rows(_DEPENDENT_VIEWS, table=table, column=column)]

    def generated_from(self, table: str, column: str) -> list[str]:
        """Name the generated columns that are made of a column."""
        return [str(row[0]) for row in self._rows(_GENERATED_FROM, table=table, column=column)]

    def is_assignable(self, old: str, new: str) -> bool:
        """Tell whether values of a type become another one without an explicit cast; no if a type is not there."""
        return bool(self._value(_IS_ASSIGNABLE, old=old, new=new))

    def has_type(self, name: str) -> bool:
        """Tell whether there is a type of that name."""
        return self._value("select to_regtype(:name)", name=name) is not None

    def has_relation(self, name: str) -> bool:
        """Tell whether there is a table, sequence or the like of that name."""
        return self._value("select to_regclass(:name)", name=name) is not None

    def has_schema(self, name: str) -> bool:
        """Tell whether there is a schema; `name` is bare."""
        return self._value("select 1 from pg_namespace where nspname = :name", name=name) is not None

    def labels(self, enum: str) -> list[str]:
        """Give the labels of an enum in order."""
        query = "select enumlabel from pg_enum where enumtypid = to_regtype(:name) order by enumsortorder"
        return [str(row[0]) for row in self._rows(query, name=enum)]

    @property
    def default_schema(self) -> str | None:
        """The first schema of the `search_path` that is there."""
        value = self._value("select current_schema()")
        return None if value is None else str(value)

    @cached_property
    def not_compared(self) -> frozenset[tuple[str, str]]:
        """Partitions, which come and go with their table, and what belongs to extensions."""
        return frozenset((row.schema, row.name) for row in self._rows(_NOT_COMPARED))

    def _rows(self, query: str, **parameters: Any) -> Sequence[Row[Any]]:
        return self.connection.execute(text(query), parameters).all()

    def _value(self, query: str, **parameters: Any) -> object:
        return self.connection.execute(text(query), parameters).scalar()
