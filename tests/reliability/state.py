"""What a database holds after its upgrade, in a form that two databases can be compared by."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg

_PATIENCE_SECONDS = 10.0
_TUNING = "core.tuning"  # what the test itself changes

_TABLES = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and (n.nspname = 'core' or n.nspname like 'ws\\_%') order by 1
"""
_STRUCTURE = """
select 'column', a.attrelid::regclass::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || case when a.attnotnull then ' not null' else '' end || ' ' || a.attnum
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and n.nspname !~ '^(pg_|information_schema$)'
union all
select 'index', i.indrelid::regclass::text, pg_get_indexdef(i.indexrelid)
    || case when i.indisvalid and i.indisready then '' else ' INVALID' end
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_'
union all
select 'constraint', conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
from pg_constraint where conrelid <> 0 and connamespace::regnamespace::text !~ '^(pg_|information_schema$)'
union all
select 'trigger', tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal
union all
select 'function', oid::regprocedure::text, md5(prosrc)
from pg_proc where pronamespace::regnamespace::text !~ '^(pg_|information_schema$)'
order by 1, 2, 3
"""
_SCOPES = """
select workspace_id, enrolled, completed, completed_digest, open, open_digest, through
from upgrader.scope order by workspace_id nulls first
"""
_HISTORY = """
select coalesce(workspace_id, 'instance'), name, attempt, status, is_initial, finished_at is not null, error_message,
    direction
from upgrader.history order by 1, 2, 3
"""
_LEFT = """
select 'session of a run: ' || pid || ' ' || coalesce(state, '') || ' ' || left(query, 100) from pg_stat_activity
where datname = current_database() and application_name like 'upgrader%'
union all
select 'advisory lock of pid ' || pid from pg_locks
where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
union all
select 'open transaction of pid ' || pid || ' ' || left(query, 100) from pg_stat_activity
where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
    and backend_type = 'client backend'
"""


@dataclass(frozen=True)
class State:
    """What is to be the same after every way to the end.

    Attributes:
        digests: number of rows and digest of the content, by table.
        structure: columns, indexes, constraints, triggers, functions.
        scopes: the rows of `upgrader.scope`.
        completed: how often each step was completed, by scope and name.
        reverted: how often each step was taken back.
    """

    digests: dict[str, tuple[int, str]]
    structure: list[tuple[Any, ...]]
    scopes: list[tuple[Any, ...]]
    completed: dict[tuple[str, str], int]
    reverted: dict[tuple[str, str], int]


def read_state(url: str) -> State:
    """Read the state, and check what must hold after every upgrade that has come to its end."""
    with psycopg.connect(url, autocommit=True) as connection:
        _wait_until_nothing_is_left(connection)
        check_history(connection.execute(_HISTORY).fetchall())
        twice = connection.execute(
            "select step, scope, count(*) from core.effect group by 1, 2 having count(*) > 1"
        ).fetchall()
        assert twice == [], f"steps had their effect more than once: {twice}"
        checkpoints = connection.execute("select step, workspace_id, label from upgrader.backfill").fetchall()
        assert checkpoints == [], f"checkpoints that outlived their steps: {checkpoints}"
        return _state(connection)


def state_between_runs(url: str) -> State:
    """Read the state after a run that need not have come to its end."""
    with psycopg.connect(url, autocommit=True) as connection:
        _wait_until_nothing_is_left(connection)
        return _state(connection)


def _state(connection: psycopg.Connection[Any]) -> State:
    history = connection.execute(_HISTORY).fetchall()
    return State(
        digests=_digests(connection),
        structure=connection.execute(_STRUCTURE.encode()).fetchall(),
        scopes=connection.execute(_SCOPES).fetchall(),
        completed=Counter((row[0], row[1]) for row in history if row[3] == "completed"),
        reverted=Counter((row[0], row[1]) for row in history if row[3] == "reverted"),
    )


def check_history(history: list[tuple[Any, ...]]) -> None:
    """Check the attempts of finished runs: without holes, unfinished ones before the one that came to its end.

    A step is completed and reverted in turn.
    """
    attempts: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for scope, name, attempt, status, _, is_finished, error, direction in history:
        assert is_finished, f"attempt {attempt} of {name} in {scope} has no end"
        assert status in ("completed", "interrupted", "reverted"), f"{name} in {scope} is {status}: {error}"
        attempts.setdefault((scope, name), []).append((attempt, status, direction))
    for (scope, name), found in attempts.items():
        numbers = [number for number, *_ in found]
        assert numbers == list(range(1, len(found) + 1)), f"attempts of {name} in {scope}: {numbers}"
        assert found[-1][1] != "interrupted", f"{name} in {scope} ended {found}"
        # An attempt that was cut off is repeated, or gone back on; what came to its end is only gone back on.
        for before, after in pairwise(found):
            is_repeated = before[2] == after[2]
            assert not is_repeated or before[1] == "interrupted", f"{name} in {scope} went on: {found}"


def differences(found: State, wanted: State) -> list[str]:
    """Tell how two states differ."""
    told = [
        f"{table}: {found.digests.get(table)} instead of {wanted.digests.get(table)}"
        for table in sorted(found.digests.keys() | wanted.digests.keys())
        if found.digests.get(table) != wanted.digests.get(table)
    ]
    told += [f"missing: {row}" for row in wanted.structure if row not in found.structure]
    told += [f"too many: {row}" for row in found.structure if row not in wanted.structure]
    told += [f"scope {row} is not among {wanted.scopes}" for row in found.scopes if row not in wanted.scopes]
    if found.completed != wanted.completed:
        told.append(f"completed: {found.completed} instead of {wanted.completed}")
    if found.reverted != wanted.reverted:
        told.append(f"reverted: {found.reverted} instead of {wanted.reverted}")
    return told


def attempts_of(url: str, class_name: str, scope: str) -> int:
    """Count the attempts at a step in a scope."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from upgrader.history where name like %s and coalesce(workspace_id, 'instance') = %s",
            [f"%\\_{class_name}\\_%", scope],
        ).fetchone()
    assert row is not None
    return int(row[0])


def _digests(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, str]]:
    tables = [table for (table,) in connection.execute(_TABLES.encode()) if table != _TUNING]
    union = " union all ".join(
        f"select '{table}', count(*), md5(coalesce(string_agg(t::text, ';' order by t::text collate \"C\"), ''))"
        f" from {table} t"
        for table in tables
    )
    return {table: (count, digest) for table, count, digest in connection.execute(union.encode())}


def _wait_until_nothing_is_left(connection: psycopg.Connection[Any]) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while left := connection.execute(_LEFT).fetchall():
        assert time.monotonic() < give_up, f"left behind: {left}"
        time.sleep(0.01)
