"""The SQL of the history schema: its tables, its functions, the triggers that keep it. Placeholders stand in braces."""

TABLES = """
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
    forgotten_at timestamptz,
    folded integer not null default 0,
    folded_since timestamptz
);
comment on table {schema}.history is 'One row per attempt at a step in a scope; the only truth';
comment on column {schema}.history.folded is
    'How many attempts right before this one, in vain like it, the row stands for; folded_since: when they began';
comment on column {schema}.history.forgotten_at is
    'When the workspace was forgotten: the row belongs to an earlier life of its id and counts no more';
-- Serves the state of a scope, and makes a second execution of an attempt impossible whatever goes wrong above.
create unique index history_attempt on {schema}.history (coalesce(workspace_id, ''), name, attempt)
    where forgotten_at is null;
create index history_forgotten on {schema}.history (workspace_id, id) where forgotten_at is not null;
-- What is not completed is little: by status, for whoever asks for it, and what a dead run left running.
create index history_open on {schema}.history (status, id) where status <> 'completed';
create index history_mark on {schema}.history (version, started_at) where is_initial;

create table {schema}.scope (
    workspace_id text,
    enrolled text,
    is_baseline boolean not null default false,
    completed integer not null default 0,
    completed_digest bigint not null default 0,
    open integer not null default 0,
    open_digest bigint not null default 0,
    through text,
    life integer not null default 0
) with (fillfactor = 70);
comment on table {schema}.scope is
    'Digests over the latest attempts of a scope, kept by triggers on history: equal digests, equal state';
comment on column {schema}.scope.life is
    'Tells the lives of a workspace''s id apart: how many marks of it were forgotten with the earlier ones';
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

# `p_lock` is the key of the workspace's lock, which the runner holds itself.
# Digests: scopes whose sets of steps are equal have equal digests, so that the state of ten thousand
# workspaces is read as a handful of sets. md5 and not hashtext(): a dump moves to another major version.
CHECK_BODY = """\
declare
    held record;
    is_there boolean;
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
    if p_locks_possible then
        -- Session or transaction lock? pg_locks does not tell; unlocking does: it is true only for a session lock.
        for held in
            select mode, objsubid, classid::bigint as high, objid::bigint as low from pg_lock_status()
            where locktype = 'advisory' and pid = pg_backend_pid()
              and not (objsubid = 1 and classid::bigint = {fence_high} and objid::bigint = {fence_low})
              and (objsubid <> 1 or ((classid::bigint << 32) | objid::bigint) is distinct from p_lock)
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
    end if;
"""

FUNCTIONS = """
create function {schema}.digest(p_text text) returns bigint
    language sql immutable strict parallel safe
    return ('x' || substr(md5(p_text), 1, 16))::bit(64)::bigint;

-- The attempts at a step, in all scopes, by the code that they ran: from one to the next it is as many looks as
-- there are steps and codes. The texts themselves would take three times as much.
create index history_step on {schema}.history ({schema}.digest(name), {schema}.digest(checksum), id);

-- Whether a step was taken back, wholly or in part, and has not come to its end again since.
create function {schema}.was_taken_back(p_workspace_id text, p_name text) returns boolean
    language sql stable parallel safe set search_path = pg_catalog, pg_temp as $body$
    select coalesce(max(h.attempt) filter (where h.direction = 'down'), 0)
         > coalesce(max(h.attempt) filter (where h.direction = 'up' and h.status = 'completed'), 0)
      from {schema}.history h
     where coalesce(h.workspace_id, '') = coalesce(p_workspace_id, '') and h.name = p_name
       and not h.is_initial and h.changes_state and h.forgotten_at is null
$body$;

create function {schema}.life_of(p_workspace_id text) returns integer
    language sql stable parallel safe set search_path = pg_catalog, pg_temp as $body$
    select count(*)::integer from {schema}.history h
     where h.workspace_id = p_workspace_id and h.is_initial and h.forgotten_at is not null
$body$;

create function {schema}.rebuild_scope(p_workspace_id text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    insert into {schema}.scope as s
        (workspace_id, enrolled, is_baseline, completed, completed_digest, open, open_digest, life)
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
        coalesce(bit_xor({schema}.digest(l.name || ' ' || l.status || ' ' || l.direction
                || case when l.direction = 'up' and {schema}.was_taken_back(p_workspace_id, l.name)
                    then ' again' else '' end))
            filter (where l.status <> 'completed'), 0),
        {schema}.life_of(p_workspace_id)
    from (select distinct on (h.name) h.name, h.status, h.direction from {schema}.history h
           where coalesce(h.workspace_id, '') = coalesce(p_workspace_id, '') and not h.is_initial
             and h.changes_state and h.forgotten_at is null
           order by h.name, h.attempt desc) l
    on conflict (coalesce(workspace_id, '')) do update set
        enrolled = excluded.enrolled, is_baseline = excluded.is_baseline, completed = excluded.completed,
        completed_digest = excluded.completed_digest, open = excluded.open, open_digest = excluded.open_digest,
        life = excluded.life;
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
        insert into {schema}.scope as s (workspace_id, enrolled, is_baseline, life)
        values (new.workspace_id, new.version, right(new.name, 9) = '_baseline',
            {schema}.life_of(new.workspace_id))
        on conflict (coalesce(workspace_id, '')) do update set
            enrolled = excluded.enrolled, is_baseline = excluded.is_baseline, life = excluded.life;
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

-- A row that complete_step() has counted itself is not counted again.
create trigger track_insert after insert on {schema}.history
    for each row when (current_setting('upgrader.counted', true) is distinct from new.name)
    execute function {schema}.track_history();
-- Folding touches no row that says how far a scope is.
create trigger track_history after update or delete on {schema}.history
    for each row when (current_setting('upgrader.folding', true) is distinct from 'on')
    execute function {schema}.track_history();

create function {schema}.forget_scopes() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    truncate {schema}.scope;
    return null;
end $body$;

create trigger forget_scopes after truncate on {schema}.history
    for each statement execute function {schema}.forget_scopes();

-- A command may load its data with session_replication_role = replica; history is kept all the same.
alter table {schema}.history enable always trigger track_insert;
alter table {schema}.history enable always trigger track_history;
alter table {schema}.history enable always trigger forget_scopes;

create function {schema}.check_step(
    p_token text, p_temporary_allowed boolean, p_locks_possible boolean default true, p_lock bigint default null
) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
{check_body}end $body$;

create function {schema}.complete_step(
    p_token text, p_name text, p_kind text, p_version text, p_workspace_id text, p_attempt integer,
    p_executed_by text, p_checksum text, p_is_running boolean, p_temporary_allowed boolean,
    p_locks_possible boolean, p_direction text, p_life integer, p_lock bigint default null
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
{check_body}    -- Against forget_workspace(): either it waits for the row of the scope, or this step finds none, or
    -- that of a later life of the id.
    if p_workspace_id is not null then
        if p_attempt = 1 and not p_is_running and p_direction = 'up' then
            -- Nearly all steps. Counted here: the trigger would take another statement for it.
            update {schema}.scope set completed = completed + 1,
                completed_digest = completed_digest # {schema}.digest(p_name)
            where coalesce(workspace_id, '') = p_workspace_id and enrolled is not null
              and life = coalesce(p_life, life);
            is_there := found;
            perform set_config('upgrader.counted', p_name, true);
        else
            perform from {schema}.scope
            where coalesce(workspace_id, '') = p_workspace_id and enrolled is not null
              and life = coalesce(p_life, life)
            for no key update;
            is_there := found;
        end if;
        if not is_there then
            raise exception 'workspace % was forgotten, enrolled anew since, or never enrolled', p_workspace_id
                using errcode = '{not_enrolled}';
        end if;
    end if;
    -- Only one that was tried before can have checkpoints.
    if p_is_running or p_attempt > 1 or p_direction = 'down' then
        perform {schema}.end_backfills(p_workspace_id, p_name);
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
