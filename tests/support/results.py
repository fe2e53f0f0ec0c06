"""What tests say about a finished call of the program, and about a database before and after it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import psycopg

from tests.support.project import Project

Result = subprocess.CompletedProcess[str]

# Everything that makes a catalog, as text; oids and statistics left out.
_CATALOG = """
select 'schema', nspname::text, coalesce(nspacl::text, '') from pg_namespace where nspname !~ '^pg_'
union all
select 'relation', c.oid::regclass::text,
    concat_ws(' ', c.relkind, c.relpersistence, c.reloptions, pg_get_viewdef(c.oid), pg_get_userbyid(c.relowner))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
union all
select 'column', a.attrelid::regclass::text || '.' || a.attname,
    concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and a.attnum > 0 and not a.attisdropped
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
union all
select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) || condeferred
from pg_constraint where connamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
union all
select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) || indisvalid
from pg_index join pg_class c on c.oid = indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_'
union all
select 'function', p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and p.prokind in ('f', 'p')
union all
select 'enum', enumtypid::regtype::text, string_agg(enumlabel, ',' order by enumsortorder)
from pg_enum group by enumtypid
union all
select 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
order by 1, 2, 3
"""
_TABLES = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind = 'r' order by 1
"""


def snapshot(project: Project) -> dict[str, Any]:
    """Give the catalog and a digest of each table's rows, to be compared with a later one."""
    with project.connect() as connection:
        connection.execute("set search_path = ''")
        taken: dict[str, Any] = {"catalog": connection.execute(_CATALOG).fetchall()}
        for (table,) in connection.execute(_TABLES).fetchall():
            taken[table] = _digest(connection, table)
    return taken


def _digest(connection: psycopg.Connection[Any], table: str) -> tuple[Any, ...] | None:
    query = f"""select count(*), md5(string_agg(t::text, '|' order by t::text collate "C")) from {table} t"""
    return connection.execute(query.encode()).fetchone()


def assert_code(result: Result, code: int) -> None:
    """Hold the exit code, and show what was written where it is another; a traceback is never right."""
    told = f"exit {result.returncode}\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
    assert result.returncode == code, told
    assert "Traceback" not in result.stderr + result.stdout, told


def assert_error(result: Result, code: int, *words: str) -> None:
    """Hold that a call failed as it should: exit code, `error:` before `hint:` on stderr, and these words in it."""
    assert_code(result, code)
    lines = result.stderr.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    hints = [number for number, line in enumerate(lines) if line.startswith("hint: ")]
    assert errors, result.stderr
    assert hints, result.stderr
    assert errors[0] < hints[-1], result.stderr
    for word in words:
        assert word in result.stderr, f"{word!r} is not in:\n{result.stderr}"


def document(result: Result) -> dict[str, Any]:
    """Give the one JSON document that is all of stdout."""
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert isinstance(found["schema_version"], int)
    assert found["exit_code"] == result.returncode
    return found


def attempts(project: Project, status: str | None = None) -> list[tuple[str, str | None, int, str]]:
    """Give the attempts in order as (class name, workspace, attempt, status); without the marks."""
    rows = project.query(
        "select substring(name from '^[^_]+_(.*)_[0-9]+$'), workspace_id, attempt, status"
        " from upgrader.history where not is_initial order by id"
    )
    return [row for row in rows if status is None or row[3] == status]  # type: ignore[misc]  # rows of these columns


def has_history(project: Project) -> bool:
    """Tell whether the database has a history schema."""
    return project.query("select to_regnamespace('upgrader') is not null") == [(True,)]


def is_executing(project: Project, words: str) -> bool:
    """Tell whether another session of the project's database is at a statement with these words."""
    return bool(
        project.query(
            "select from pg_stat_activity where position(%s in query) > 0 and state = 'active'"
            " and datname = current_database() and pid <> pg_backend_pid()",
            words,
        )
    )
