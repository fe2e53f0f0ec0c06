"""The runtime's own tables, in the schema that `worker_schema` names; the queue's are made by `queue/layout`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import LayoutError


@dataclass(frozen=True, slots=True)
class LayoutPart:
    """Tables that belong together.

    Attributes:
        name: under which its version is noted.
        statements: what was added with each version, oldest first: only ever added to. `{schema}` stands for the
            schema, quoted.
    """

    name: str
    statements: tuple[str, ...]


_VERSIONS = """
create table if not exists {schema}.layout (part text primary key, version integer not null);
"""
_RUNTIME = """
create table {schema}.tick (
    name text not null,
    due timestamptz not null,
    worker text not null,
    claimed_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    outcome text not null,
    detail text,
    primary key (name, due)
);
comment on table {schema}.tick is 'Each tick of a scheduled job, claimed by the one worker that fires it';
create index tick_age on {schema}.tick (claimed_at);

create table {schema}.worker (
    id text primary key,
    host text not null,
    pid integer not null,
    version text not null,
    queues text[] not null,
    concurrency integer not null,
    schedules boolean not null,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    stalled_seconds double precision not null
);
comment on table {schema}.worker is 'The workers at work; one that ends properly takes its row out';

create table {schema}.sign (
    name text primary key,
    worker text not null,
    sent_at timestamptz not null,
    handled_at timestamptz not null default clock_timestamp()
);
comment on table {schema}.sign is 'The last worker.startup and worker.heartbeat that went through scheduler and queue';

create table {schema}.upgrade_status (
    only_row boolean primary key default true check (only_row),
    taken_at timestamptz not null default clock_timestamp(),
    document jsonb not null
);
comment on table {schema}.upgrade_status is 'What the job upgrade.status saw last; the metrics are read from it';
"""

_AUDIT = """
create table {schema}.workspace_event (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    name text not null,
    workspace_id text,
    object_name text,
    record_id text,
    before jsonb,
    after jsonb,
    updated_fields text[] not null,
    event jsonb,
    batch_id uuid not null,
    actor text
);
comment on table {schema}.workspace_event is 'What AuditTable wrote of workspace events; a field whose value was not'
    ' known is left out';
create index workspace_event_record on {schema}.workspace_event (object_name, record_id, id);
create index workspace_event_workspace on {schema}.workspace_event (workspace_id, id);
create index workspace_event_age on {schema}.workspace_event (at);
"""

_RECURRING = """
create table {schema}.recurring_job (
    key text primary key,
    queue text not null,
    name text not null,
    args jsonb not null,
    priority integer not null,
    cron text not null,
    timezone text,
    added_at timestamptz not null default clock_timestamp()
);
comment on table {schema}.recurring_job is 'What JobQueue.add_cron was told: a job is added at each of its ticks';
"""

_WEBHOOKS = """
create table {schema}.webhook_place (
    endpoint text primary key,
    state jsonb not null default jsonb '{{}}',
    version bigint not null default 0,
    used_at timestamptz not null default clock_timestamp()
);
comment on table {schema}.webhook_place is 'What the workers are sending to each endpoint of webhooks, and how often'
    ' they may; `endpoint` is a digest of its name and URL';
"""

PARTS = (
    LayoutPart("runtime", (_RUNTIME,)),
    LayoutPart("audit", (_AUDIT,)),
    LayoutPart("recurring", (_RECURRING,)),
    LayoutPart("webhooks", (_WEBHOOKS,)),
)


def bring_up_to_date(driver: psycopg.Connection, schema: str, *, parts: Sequence[LayoutPart] = PARTS) -> None:
    """Make the tables, or what they lack; nothing where they are up to date. Takes a transaction of its own.

    Any number of workers may do so at once: they take turns under an advisory lock.

    Args:
        driver: a connection in autocommit.
        schema: as `worker_schema` gives it.

    Raises:
        LayoutError: the role may not make them, the database is read-only, or they are a newer program's.
    """
    if driver.execute("select current_setting('transaction_read_only')").fetchone() == ("on",):
        raise LayoutError(  # where the tables are there, too: whoever makes them is about to write them
            "the connection is read-only, so that no worker can run",
            hint="give the URL of the primary server; see to default_transaction_read_only of role and database",
        )
    if is_up_to_date(driver, schema, parts=parts):
        return
    try:
        with driver.transaction():
            driver.execute("select pg_advisory_xact_lock(%s)", [_key(schema)])
            _make(driver, schema, parts)
    except psycopg.errors.InsufficientPrivilege as error:
        raise _may_not_make(driver, schema, str(error.diag.message_primary)) from error


def is_up_to_date(driver: psycopg.Connection, schema: str, *, parts: Sequence[LayoutPart] = PARTS) -> bool:
    """Tell whether the tables are there as this program needs them; writes nothing.

    Raises:
        LayoutError: they are a newer program's, or the role may not read them.
    """
    versions = _versions(driver, schema)
    for part in parts:
        if versions.get(part.name, 0) > len(part.statements):
            raise LayoutError(
                f"the tables of {part.name!r} in schema {schema} have layout {versions[part.name]};"
                f" this program knows up to {len(part.statements)}",
                hint="a newer version of upgrader runs workers on this database: install that version or a later one",
            )
    return all(versions.get(part.name, 0) == len(part.statements) for part in parts)


def _make(driver: psycopg.Connection, schema: str, parts: Sequence[LayoutPart]) -> None:
    quoted = identifier(schema)
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it is there.
    if driver.execute("select to_regnamespace(%s) is null", [quoted]).fetchone() == (True,):
        driver.execute(f"create schema {quoted}".encode())
    driver.execute(_VERSIONS.format(schema=quoted).encode())
    versions = _versions(driver, schema)
    for part in parts:
        for statement in part.statements[versions.get(part.name, 0) :]:
            driver.execute(statement.format(schema=quoted).encode())
        driver.execute(
            f"insert into {identifier(schema, 'layout')} values (%s, %s)"
            " on conflict (part) do update set version = excluded.version".encode(),
            [part.name, len(part.statements)],
        )


def _versions(driver: psycopg.Connection, schema: str) -> dict[str, int]:
    # to_regclass() fails where the role may not use the schema; the catalog tells everybody.
    found = driver.execute(
        "select 1 from pg_class where relname = 'layout'"
        " and relnamespace = (select oid from pg_namespace where nspname = %s)",
        [schema],
    ).fetchone()
    if found is None:
        return {}
    try:
        rows = driver.execute(f"select part, version from {identifier(schema, 'layout')}".encode()).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        user, name = identifier(driver.info.user), identifier(schema)
        raise LayoutError(
            f"role {user} may not read the tables of the workers in the schema {schema}",
            hint=f"let its owner run: GRANT USAGE ON SCHEMA {name} TO {user}; GRANT SELECT, INSERT, UPDATE, DELETE"
            f" ON ALL TABLES IN SCHEMA {name} TO {user};",
        ) from error
    return dict(rows)


def _may_not_make(driver: psycopg.Connection, schema: str, reason: str) -> LayoutError:
    user, name = identifier(driver.info.user), identifier(schema)
    return LayoutError(
        f"role {user} may not make the tables of the workers in the schema {schema}: {reason}",
        hint=f"let an administrator run: CREATE SCHEMA {name} AUTHORIZATION {user};"
        f" or, where it is there: ALTER SCHEMA {name} OWNER TO {user};",
    )


def _key(schema: str) -> int:
    digest = hashlib.sha256(f"upgrader:worker-layout:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
