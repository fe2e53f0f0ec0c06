"""Constraints of tables that are there already, added without a long lock."""

from __future__ import annotations

from collections.abc import Iterator

from alembic.operations.ops import CreateForeignKeyOp, CreateUniqueConstraintOp, DropConstraintOp
from sqlalchemy import CheckConstraint, Constraint, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from upgrader.generate.autogenerate.catalog import LiveConstraint
from upgrader.generate.autogenerate.change import Change, IndexChange, Stage
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.index_definition import IndexDefinition
from upgrader.generate.autogenerate.sql_writer import bare


def add_unique(operation: CreateUniqueConstraintOp, ground: Ground) -> None:
    """Build the index first, without blocking writers; then the constraint takes it over in a moment."""
    table = ground.metadata_table(operation.schema, operation.table_name)
    constraint = _unique_of(table, operation)
    columns = [column.name for column in constraint.columns]
    name = ground.writer.constraint_name(constraint) or ground.default_name(table.name, *columns, "key")
    target = ground.writer.table(table)
    definition = ground.writer.constraint(constraint)
    down = (f"ALTER TABLE {target} DROP CONSTRAINT {name}",)
    if ground.catalog.partition_key(target):
        ground.warn(f"{target} is partitioned: the constraint {name} is built while nobody can write")
        up = (f"ALTER TABLE {target} ADD CONSTRAINT {name} {definition}",)
        ground.changes.main.append(Change(Stage.CONSTRAINTS, up, down))
        return
    options = constraint.dialect_options["postgresql"]
    index = IndexDefinition(
        tuple(map(ground.writer.quote, columns)),
        is_unique=True,
        include=tuple(map(ground.writer.quote, options.get("include") or ())),
        nulls_not_distinct=bool(options.get("nulls_not_distinct")),
    )
    ground.changes.new_indexes.append(IndexChange(bare(name), target, _beside(target, name), index))
    deferrable = definition.partition(" DEFERRABLE")
    tail = deferrable[1] + deferrable[2]
    up = (f"ALTER TABLE {target} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}{tail}",)
    ground.changes.attached.append(Change(Stage.CONSTRAINTS, up, down))


def add_foreign_key(operation: CreateForeignKeyOp, ground: Ground) -> None:
    """Add a foreign key for what is written from now on; the rows that are there are looked at later."""
    table = ground.metadata_table(operation.kw.get("source_schema"), operation.source_table)
    constraint = _foreign_key_of(table, operation)
    name = ground.writer.constraint_name(constraint)
    _add_unvalidated(
        table,
        name or ground.default_name(table.name, *constraint.column_keys, "fkey"),
        ground.writer.constraint(constraint),
        Stage.FOREIGN_KEYS,
        ground,
    )


def drop_constraint(operation: DropConstraintOp, ground: Ground) -> None:
    """Drop a constraint; the way back is what the database has now."""
    target = ground.writer.table(ground.metadata_table(operation.schema, operation.table_name))
    live = ground.catalog.constraints(target)
    _drop(target, next(one for one in live if bare(one.name) == operation.constraint_name), ground)


def compare_checks(table: Table, ground: Ground) -> None:
    """Compare check and exclusion constraints, which Alembic does not: by name, then as the server writes them."""
    target = ground.writer.table(table)
    live = {bare(one.name): one for one in ground.catalog.constraints(target) if one.type in ("c", "x")}
    wanted = list(_checks_of(table))
    canonical = {id(one): ground.probe.constraint(target, ground.writer.constraint(one)) for one in wanted}
    used: set[str] = set()
    for constraint in wanted:
        name = ground.writer.constraint_name(constraint)
        text = canonical[id(constraint)]
        if name is None:  # whatever is called whatever and says the same is this one
            name = next(
                (one.name for one in live.values() if one.definition == text and one.name not in used), None
            )
        found = live.get(bare(name)) if name else None
        if found is not None:
            used.add(found.name)
        # One that cannot be made before the columns change is a different one, and goes with its old columns.
        if found is None or (text != found.definition if text else _has_other_columns(table, ground)):
            if found is not None:
                _drop(target, found, ground)
            _add_check(table, constraint, name, ground)
    is_sure = all(canonical[id(one)] for one in wanted if ground.writer.constraint_name(one) is None)
    for one in live.values():
        if one.name not in used and is_sure:
            _drop(target, one, ground)


def warn_of_primary_key(table: Table, ground: Ground) -> None:
    """Tell of a primary key that changes: it is not written. One with a new column is told of with that."""
    target = ground.writer.table(table)
    live = next((one for one in ground.catalog.constraints(target) if one.type == "p"), None)
    key = table.primary_key
    text = ground.probe.constraint(target, ground.writer.constraint(key)) if len(key.columns) else ""
    if text is not None and text != (live.definition if live else ""):
        before, after = live.definition if live else "none", text or "none"
        ground.warn(
            f"the primary key of {target} is {before}, in the metadata {after}: write the change by hand"
        )


def _has_other_columns(table: Table, ground: Ground) -> bool:
    live = {column.name for column in ground.catalog.columns(ground.writer.table(table))}
    return live != {column.name for column in table.columns}


def _checks_of(table: Table) -> Iterator[CheckConstraint | ExcludeConstraint]:
    of_columns = (constraint for column in table.columns for constraint in column.constraints)
    seen: set[int] = set()
    for constraint in (*table.constraints, *of_columns):
        if isinstance(constraint, CheckConstraint | ExcludeConstraint) and id(constraint) not in seen:
            seen.add(id(constraint))
            yield constraint


def _add_check(
    table: Table, constraint: CheckConstraint | ExcludeConstraint, name: str | None, ground: Ground
) -> None:
    target, definition = ground.writer.table(table), ground.writer.constraint(constraint)
    if isinstance(constraint, CheckConstraint):
        name = name or ground.default_name(table.name, "check")
        _add_unvalidated(table, name, definition, Stage.CONSTRAINTS, ground)
        return
    name = name or ground.default_name(table.name, "excl")
    ground.warn(f"the exclusion constraint {name} of {target} is built while nobody can write")
    up = f"ALTER TABLE {target} ADD CONSTRAINT {name} {definition}"
    ground.changes.main.append(
        Change(Stage.CONSTRAINTS, (up,), (f"ALTER TABLE {target} DROP CONSTRAINT {name}",))
    )


def _add_unvalidated(table: Table, name: str, definition: str, stage: Stage, ground: Ground) -> None:
    target, changes = ground.writer.table(table), ground.changes
    up, down = (
        f"ALTER TABLE {target} ADD CONSTRAINT {name} {definition}",
        f"ALTER TABLE {target} DROP CONSTRAINT {name}",
    )
    if ground.catalog.partition_key(target) and stage is Stage.FOREIGN_KEYS:
        # Before PostgreSQL 18 a partitioned table takes no foreign key that is NOT VALID.
        ground.warn(f"{target} is partitioned: its rows are checked for {name} while nobody can write")
        changes.main.append(Change(stage, (up,), (down,)))
        return
    change = Change(stage, (f"{up} NOT VALID",), (down,))
    # A foreign key may refer to what is unique only when the constraint has taken over its index.
    (changes.attached if changes.attached and stage is Stage.FOREIGN_KEYS else changes.main).append(change)
    changes.validated.append(Change(stage, (f"ALTER TABLE {target} VALIDATE CONSTRAINT {name}",)))


def _drop(target: str, live: LiveConstraint, ground: Ground) -> None:
    stage = Stage.DROP_FOREIGN_KEYS if live.type == "f" else Stage.DROP_CONSTRAINTS
    ground.changes.main.append(
        Change(
            stage,
            (f"ALTER TABLE {target} DROP CONSTRAINT {live.name}",),
            (f"ALTER TABLE {target} ADD CONSTRAINT {live.name} {live.definition}",),
        )
    )


def _unique_of(table: Table, operation: CreateUniqueConstraintOp) -> UniqueConstraint:
    names = [str(column) for column in operation.columns]
    return next(
        one
        for one in table.constraints
        if isinstance(one, UniqueConstraint)
        and [column.name for column in one.columns] == names
        and operation.constraint_name in (None, one.name)
    )


def _foreign_key_of(table: Table, operation: CreateForeignKeyOp) -> ForeignKeyConstraint:
    def matches(one: Constraint) -> bool:
        return (
            isinstance(one, ForeignKeyConstraint)
            and [column.name for column in one.columns] == operation.local_cols
            and one.referred_table.name == operation.referent_table
            and [element.column.name for element in one.elements] == operation.remote_cols
            and operation.constraint_name in (None, one.name)
        )

    return next(one for one in table.foreign_key_constraints if matches(one))


def _beside(table: str, name: str) -> str:
    schema, dot, _ = table.rpartition(".")
    return f"{schema}{dot}{name}"
