"""What stands in the queue's schema beside Procrastinate's own. Written for a `search_path` of that schema.

Names of types and functions of Procrastinate's stand only in bodies: a trigger or an argument that depended on one
would keep its migrations from replacing it.
"""

TABLES = """
create table if not exists queue_layout (
    only_row boolean primary key default true check (only_row),
    migration text not null,
    layout integer not null
);
comment on table queue_layout is 'The newest migration of Procrastinate''s that was applied, and our own layout';

create table if not exists job_error (
    job_id bigint primary key references procrastinate_jobs (id) on delete cascade,
    attempt integer not null,
    at timestamptz not null default clock_timestamp(),
    message text not null,
    rescued integer not null default 0
);
comment on table job_error is 'What the last try of a job raised; rescued: with so many workers that fell silent'
    ' it was';
"""

DEPENDENTS = """
drop trigger if exists upgrader_free_id on procrastinate_jobs;
drop trigger if exists upgrader_waits_again on procrastinate_jobs;
drop index if exists upgrader_jobs_over;
drop index if exists upgrader_jobs_due;
drop index if exists upgrader_jobs_heartbeat;
"""
"""Taken away before Procrastinate's migrations: a column's type cannot be changed below a trigger."""

OBJECTS = """
-- An id is that of one waiting job. A job that is being worked on has none any more: the next may be added, and
-- its own retry, its rescue included, cannot meet that one.
create or replace function upgrader_free_id() returns trigger language plpgsql as $body$
begin
    new.queueing_lock := null;
    return new;
end $body$;
create trigger upgrader_free_id before update of status on procrastinate_jobs for each row
    when (old.status = 'todo' and new.status <> 'todo' and new.queueing_lock is not null)
    execute function upgrader_free_id();

-- Idle workers are told of a job that waits again, not only of a new one.
create or replace function upgrader_waits_again() returns trigger language plpgsql as $body$
begin
    perform pg_notify(
        'procrastinate_queue_v1#' || new.queue_name,
        json_build_object('type', 'job_inserted', 'job_id', new.id)::text
    );
    return null;
end $body$;
create trigger upgrader_waits_again after update of status on procrastinate_jobs for each row
    when (old.status <> 'todo' and new.status = 'todo')
    execute function upgrader_waits_again();

create index upgrader_jobs_over on procrastinate_jobs (status, id) where status not in ('todo', 'doing');
create index upgrader_jobs_heartbeat on procrastinate_jobs (id)
    where status = 'succeeded' and task_name = 'worker.heartbeat';
create index upgrader_jobs_due on procrastinate_jobs (scheduled_at) where status = 'todo' and scheduled_at is not null;

-- Null: a job waits under that id already. The block is a savepoint: the caller's transaction goes on.
create or replace function add_job(
    p_queue text, p_name text, p_args jsonb, p_id text, p_priority integer, p_delay_seconds double precision,
    p_scheduled_at timestamptz
) returns bigint language plpgsql as $body$
declare
    job procrastinate_job_to_defer_v1;
    violated text;
begin
    job.queue_name := p_queue;
    job.task_name := p_name;
    job.priority := p_priority;
    job.args := p_args;
    job.scheduled_at := p_scheduled_at;
    if p_delay_seconds > 0 then
        job.scheduled_at := clock_timestamp() + make_interval(secs => p_delay_seconds);
    end if;
    if p_id is null then
        return (procrastinate_defer_jobs_v1(array[job]))[1];
    end if;
    job.queueing_lock := p_queue || ' ' || p_id;
    begin
        return (procrastinate_defer_jobs_v1(array[job]))[1];
    exception when unique_violation then
        get stacked diagnostics violated = constraint_name;
        if violated <> 'procrastinate_jobs_queueing_lock_idx_v1' then
            raise;
        end if;
        return null;
    end;
end $body$;
"""

# Whatever the caller's search_path is, they find their tables. (A function's own one is what its triggers see, too.)
FUNCTIONS_KNOW_THEIR_SCHEMA = """
do $body$
declare
    one regprocedure;
    home text := quote_ident(current_schema());
begin
    for one in select oid from pg_proc where pronamespace = home::regnamespace and prokind = 'f' loop
        execute format('alter function %s set search_path = %s, pg_temp', one, home);
    end loop;
end $body$;
"""
