"""The history schema: its tables and functions, and bringing it up to date."""

from __future__ import annotations

import psycopg

from upgrader.database.connect import identifier, literal
from upgrader.database.leftovers import ENDED, LOCK_LEFT, TEMPORARY_LEFT
from upgrader.errors import LayoutError
from upgrader.history.keys import LockKeys
from upgrader.history.workspace_functions import ENROLLED_ALREADY, NOT_ENROLLED, WORKSPACE_FUNCTIONS

LAYOUT_VERSION = 1

_TABLES = """
create table {schema}.meta (
    key text primary key,
    value text not null
);
comment on table {schema}.meta is 'Layout version of this schema';
insert into {schema}.meta values ('layout', '{version}');

create table {schema}.run (
    only_row boolean primary key default true check (only_row),
    run_id text not null,
    client text not null,
    backend_pid integer not null,
    executed_by_version text not null,
    started_at timestamptz not null default clock_timestamp()
);
comment on table {schema}.run is 'Who holds the run lock, or held it last';

create table {schema}.history (
    id bigint generated always as identity primary key,
    name text not null,
    kind text not null check (kind in ('fast-instance', 'slow-instance', 'workspace')),
    version text not null,
    workspace_id text,
    status text not null
        check (status in ('running', 'completed', 'failed', 'interrupted', 'skipped', 'reverted')),
    attempt integer not null check (attempt > 0),
    is_initial boolean not null default false,
    direction text not null default 'up' check (direction in ('up', 'down')),
    changes_state boolean not null default true,
    executed_by_version text not null,
    checksum text not null,
    error_message text,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    forgotten_at timestamptz
);
comment on table {schema}.history is 'One row per attempt at a step in a scope; the only truth';
comment on column {schema}.history.forgotten_at is
    'When the workspace was forgotten: the row belongs to an earlier life of its id and counts no more';
-- Serves the state of a scope, and makes a second execution of an attempt impossible whatever goes wrong above.
create unique index history_attempt on {schema}.history (coalesce(workspace_id, ''), name, attempt)
    where forgotten_at is null;
create index history_forgotten on {schema}.history (workspace_id, id) where forgotten_at is not null;
create index history_running on {schema}.history (id) where status = 'running';

create table {schema}.scope (
    workspace_id text,
    enrolled text,
    is_baseline boolean not null default false,
    completed integer not null default 0,
    completed_digest bigint not null default 0,
    open integer not null default 0,
    open_digest bigint not null default 0,
    through text
) with (fillfactor = 70);
comment on table {schema}.scope is
    'Digests over the latest attempts of a scope, kept by triggers on history: equal digests, equal state';
create unique index scope_key on {schema}.scope (coalesce(workspace_id, ''));

create table {schema}.quarantine (
    id bigint generated always as identity primary key,
    workspace_id text not null,
    reason text not null check (btrim(reason) <> ''),
    quarantined_by text not null,
    executed_by_version text not null,
    since timestamptz not null default clock_timestamp(),
    released_at timestamptz
);
create unique index quarantine_open on {schema}.quarantine (workspace_id) where released_at is null;
comment on table {schema}.quarantine is
    'Workspaces that are set aside until released_at: nothing runs on them and no barrier waits for them';
"""

# Digests: scopes whose sets of steps are equal have equal digests, so that the state of ten thousand
# workspaces is read as a handful of sets. md5 and not hashtext(): a dump moves to another major version.
_CHECK_BODY = """\
declare
    held record;
begin
    if current_setting('upgrader.step', true) is distinct from p_token then
        raise exception 'the command ended its transaction or reset the session' using errcode = '{ended}';
    end if;
    if pg_my_temp_schema() <> 0 and not p_temporary_allowed and exists (
        select from pg_class where relnamespace = pg_my_temp_schema()
    ) then
        raise exception 'the command left the temporary table %', (
            select string_agg(relname, ', ' order by relname) from pg_class
            where relnamespace = pg_my_temp_schema() and relkind in ('r', 'p', 'v', 'S')
        ) using errcode = '{temporary_left}';
    end if;
    -- Session or transaction lock? pg_locks does not tell; unlocking does: it is true only for a session lock.
    for held in
        select mode, objsubid, classid::bigint as high, objid::bigint as low from pg_lock_status()
        where p_locks_possible and locktype = 'advisory' and pid = pg_backend_pid()
          and not (objsubid = 1 and classid::bigint = {fence_high} and objid::bigint = {fence_low})
    loop
        if (case
            when held.objsubid = 1 and held.mode = 'ShareLock' then
                pg_advisory_unlock_shared((held.high << 32) | held.low)
            when held.objsubid = 1 then pg_advisory_unlock((held.high << 32) | held.low)
            when held.mode = 'ShareLock' then
                pg_advisory_unlock_shared(held.high::bit(32)::integer, held.low::bit(32)::integer)
            else pg_advisory_unlock(held.high::bit(32)::integer, held.low::bit(32)::integer)
        end) then
            raise exception 'the command left a session advisory lock' using errcode = '{lock_left}';
        end if;
    end loop;
"""

_FUNCTIONS = """
create function {schema}.digest(p_text text) returns bigint
    language sql immutable strict parallel safe
    return ('x' || substr(md5(p_text), 1, 16))::bit(64)::bigint;

create function {schema}.rebuild_scope(p_workspace_id text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    insert into {schema}.scope as s
        (workspace_id, enrolled, is_baseline, completed, completed_digest, open, open_digest)
    select p_workspace_id,
        (select h.version from {schema}.history h
          where coalesce(h.workspace_id, '') = coalesce(p_workspace_id, '') and h.is_initial
            and h.forgotten_at is null
          order by h.id desc limit 1),
        coalesce((select right(h.name, 9) = '_baseline' from {schema}.history h
          where coalesce(h.workspace_id, '') = coalesce(p_workspace_id, '') and h.is_initial
            and h.forgotten_at is null
          order by h.id desc limit 1), false),
        count(*) filter (where l.status = 'completed'),
        coalesce(bit_xor({schema}.digest(l.name)) filter (where l.status = 'completed'), 0),
        count(*) filter (where l.status <> 'completed'),
        coalesce(bit_xor({schema}.digest(l.name || ' ' || l.status || ' ' || l.direction))
            filter (where l.status <> 'completed'), 0)
    from (select distinct on (h.name) h.name, h.status, h.direction from {schema}.history h
           where coalesce(h.workspace_id, '') = coalesce(p_workspace_id, '') and not h.is_initial
             and h.changes_state and h.forgotten_at is null
           order by h.name, h.attempt desc) l
    on conflict (coalesce(workspace_id, '')) do update set
        enrolled = excluded.enrolled, is_baseline = excluded.is_baseline, completed = excluded.completed,
        completed_digest = excluded.completed_digest, open = excluded.open, open_digest = excluded.open_digest;
end $body$;

-- Without a search_path of its own, which costs at every row: all names in it are qualified, and the functions
-- that write history set one.
create function {schema}.track_history() returns trigger language plpgsql as $body$
begin
    if tg_op = 'INSERT' and (not new.changes_state or new.forgotten_at is not null) then
        null;
    elsif tg_op = 'INSERT' and new.attempt = 1 and not new.is_initial then
        if new.status = 'completed' then
            insert into {schema}.scope as s (workspace_id, completed, completed_digest)
            values (new.workspace_id, 1, {schema}.digest(new.name))
            on conflict (coalesce(workspace_id, '')) do update set
                completed = s.completed + 1,
                completed_digest = s.completed_digest # excluded.completed_digest;
        else
            insert into {schema}.scope as s (workspace_id, open, open_digest)
            values (new.workspace_id, 1, {schema}.digest(new.name || ' ' || new.status || ' ' || new.direction))
            on conflict (coalesce(workspace_id, '')) do update set
                open = s.open + 1,
                open_digest = s.open_digest # excluded.open_digest;
        end if;
    elsif tg_op = 'INSERT' and new.attempt = 1 then
        insert into {schema}.scope as s (workspace_id, enrolled, is_baseline)
        values (new.workspace_id, new.version, right(new.name, 9) = '_baseline')
        on conflict (coalesce(workspace_id, '')) do update set
            enrolled = excluded.enrolled, is_baseline = excluded.is_baseline;
    else
        if tg_op <> 'INSERT' then
            perform {schema}.rebuild_scope(old.workspace_id);
        end if;
        if tg_op = 'INSERT'
            or tg_op = 'UPDATE' and new.workspace_id is distinct from old.workspace_id then
            perform {schema}.rebuild_scope(new.workspace_id);
        end if;
    end if;
    return null;
end $body$;

create trigger track_history after insert or update or delete on {schema}.history
    for each row execute function {schema}.track_history();

create function {schema}.forget_scopes() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    truncate {schema}.scope;
    return null;
end $body$;

create trigger forget_scopes after truncate on {schema}.history
    for each statement execute function {schema}.forget_scopes();

-- A command may load its data with session_replication_role = replica; history is kept all the same.
alter table {schema}.history enable always trigger track_history;
alter table {schema}.history enable always trigger forget_scopes;

create function {schema}.check_step(
    p_token text, p_temporary_allowed boolean, p_locks_possible boolean default true
) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
{check_body}end $body$;

create function {schema}.complete_step(
    p_token text, p_name text, p_kind text, p_version text, p_workspace_id text, p_attempt integer,
    p_executed_by text, p_checksum text, p_is_running boolean, p_temporary_allowed boolean,
    p_locks_possible boolean, p_direction text
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
{check_body}    -- Against forget_workspace(): either it sees this row, or this step sees that the workspace is gone.
    if p_workspace_id is not null then
        perform from {schema}.scope where coalesce(workspace_id, '') = p_workspace_id and enrolled is not null
        for no key update;
        if not found then
            raise exception 'workspace % was forgotten, or never enrolled', p_workspace_id
                using errcode = '{not_enrolled}';
        end if;
    end if;
    if p_is_running then
        update {schema}.history set status = 'completed', finished_at = clock_timestamp()
        where coalesce(workspace_id, '') = coalesce(p_workspace_id, '') and name = p_name
          and attempt = p_attempt and status = 'running' and forgotten_at is null;
        if not found then
            raise exception 'the running attempt % of % is not there any more', p_attempt, p_name
                using errcode = '{ended}';
        end if;
    else
        insert into {schema}.history (name, kind, version, workspace_id, status, direction, attempt,
            executed_by_version, checksum, finished_at)
        values (p_name, p_kind, p_version, p_workspace_id,
            case when p_direction = 'down' then 'reverted' else 'completed' end, p_direction, p_attempt,
            p_executed_by, p_checksum, clock_timestamp());
    end if;
end $body$;

-- USAGE lets a role find the function; it may call it only with EXECUTE.
grant usage on schema {schema} to public;
"""


def read_layout_version(driver: psycopg.Connection, schema: str) -> int | None:
    """Give the layout version of the history schema; None where there is no history yet.

    Raises:
        LayoutError: it is newer than this program, or the schema holds something else.
    """
    # to_regclass() fails where the role may not use the schema; the catalog tells everybody.
    found = driver.execute(
        "select relname from pg_class where relname in ('meta', 'history')"
        " and relnamespace = (select oid from pg_namespace where nspname = %s)",
        [schema],
    ).fetchall()
    if not found:
        return None
    if ("meta",) not in found:
        raise LayoutError(
            f"the schema {schema} has a table history that is not this program's",
            hint='set another schema, for example schema = "upgrader_history"',
        )
    return _checked_version(driver, schema)


def _checked_version(driver: psycopg.Connection, schema: str) -> int:
    try:
        row = driver.execute(
            f"select value::text from {identifier(schema, 'meta')} where key::text = 'layout'".encode()
        ).fetchone()
    except psycopg.errors.UndefinedColumn:
        row = None
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_readable(driver, schema) from error
    if row is None or not str(row[0]).isdigit():
        raise LayoutError(
            f"the schema {schema} has a table meta that is not this program's",
            hint='set another schema, for example schema = "upgrader_history"',
        )
    version = int(row[0])
    if version > LAYOUT_VERSION:
        raise LayoutError(
            f"the history in schema {schema} has layout {version}; this program knows up to {LAYOUT_VERSION}",
            hint="a newer version of upgrader was used on this database: install that version or a later one",
        )
    return version


def not_readable(driver: psycopg.Connection, schema: str) -> LayoutError:
    """Say that the role may not read the history."""
    user, name = driver.info.user, identifier(schema)
    return LayoutError(
        f"role {user} may not read the history in the schema {schema}",
        hint=f"let its owner run: GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {identifier(user)};",
    )


def bring_up_to_date(driver: psycopg.Connection, schema: str, *, is_trial: bool = False) -> None:
    """Make the history schema, or nothing where it is up to date. Takes a transaction of its own.

    Args:
        is_trial: undo it again: only whether it could be made is of interest.

    Raises:
        LayoutError: the role may not make it, or the database is read-only.
    """
    _refuse_read_only(driver)
    if read_layout_version(driver, schema) is not None:
        require_write(driver, schema)
        return
    try:
        with driver.transaction(force_rollback=is_trial):
            create_layout(driver, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        reason = str(error.diag.message_primary)
        is_there = _is_there(driver, schema)
        raise may_not_create(driver.info.user, schema, is_there=is_there, reason=reason) from error


def may_not_create(user: str, schema: str, *, is_there: bool, reason: str = "") -> LayoutError:
    """Give the error for a role that may not make the history.

    Args:
        is_there: whether the schema itself is there, empty.
        reason: in the server's words.
    """
    name = identifier(schema)
    remedy = f"ALTER SCHEMA {name} OWNER TO" if is_there else f"CREATE SCHEMA {name} AUTHORIZATION"
    return LayoutError(
        f"role {user} may not make the history schema {schema}{f': {reason}' if reason else ''}",
        hint=f"let an administrator run: {remedy} {identifier(user)};",
    )


def require_write(driver: psycopg.Connection, schema: str) -> None:
    """Make sure that the role may write the history that is there.

    Raises:
        LayoutError: it may not.
    """
    tables = [identifier(schema, table) for table in ("history", "scope", "run", "quarantine")]
    row = driver.execute(
        "select bool_and(has_table_privilege(name, 'INSERT') and has_table_privilege(name, 'UPDATE'))"
        " from unnest(%s::text[]) name",
        [tables],
    ).fetchone()
    if row != (True,):
        user, name = identifier(driver.info.user), identifier(schema)
        raise LayoutError(
            f"role {user} may not write the history in the schema {schema}",
            hint="use the role that made it, or let its owner run: GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN"
            f" SCHEMA {name} TO {user}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {name} TO {user};",
        )


def _refuse_read_only(driver: psycopg.Connection) -> None:
    if driver.execute("select current_setting('transaction_read_only')").fetchone() == ("on",):
        raise LayoutError(
            "the connection is read-only, so that nothing can run",
            hint="give the URL of the primary server; see to default_transaction_read_only of role and database",
        )


def check_block(schema: str) -> str:
    """Give the check of a step as a statement of its own, for a database without history functions.

    `{token}` in it stands for the marker, `{temporary_allowed}` for whether temporary tables may be there.
    """
    body = _CHECK_BODY.format(**_values(schema))
    body = (
        body.replace("p_token", "'{token}'")
        .replace("p_temporary_allowed", "{temporary_allowed}")
        .replace("p_locks_possible", "true")
    )
    return f"do $upgrader$ {body} end $upgrader$"


def create_layout(driver: psycopg.Connection, schema: str) -> None:
    """Make the tables and functions, and the schema where it is missing, in the transaction that is open."""
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it is there.
    if not _is_there(driver, schema):
        driver.execute(f"create schema {identifier(schema)}".encode())
    driver.execute(_layout_sql(schema).encode())


def _is_there(driver: psycopg.Connection, schema: str) -> bool:
    row = driver.execute("select to_regnamespace(%s) is not null", [identifier(schema)]).fetchone()
    return row == (True,)


def _layout_sql(schema: str) -> str:
    values = _values(schema)
    return (_TABLES + _FUNCTIONS + WORKSPACE_FUNCTIONS).format(
        **values, check_body=_CHECK_BODY.format(**values)
    )


def _values(schema: str) -> dict[str, object]:
    keys = LockKeys.of(schema)
    unsigned = keys.fence & (2**64 - 1)
    return {
        "schema": identifier(schema),
        "version": LAYOUT_VERSION,
        "ended": ENDED,
        "temporary_left": TEMPORARY_LEFT,
        "lock_left": LOCK_LEFT,
        "enrolled_already": ENROLLED_ALREADY,
        "not_enrolled": NOT_ENROLLED,
        "fence_high": unsigned >> 32,
        "fence_low": unsigned & 0xFFFFFFFF,
        "barrier": literal(keys.barrier),
    }
