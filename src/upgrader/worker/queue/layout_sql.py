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
drop index if exists upgrader_jobs_ready;
drop index if exists upgrader_jobs_timed;
drop index if exists upgrader_jobs_locked;
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
create index upgrader_jobs_ready on procrastinate_jobs (queue_name, priority desc, id)
    where status = 'todo' and scheduled_at is null;
create index upgrader_jobs_due on procrastinate_jobs (queue_name, scheduled_at)
    where status = 'todo' and scheduled_at is not null;
create index upgrader_jobs_timed on procrastinate_jobs (queue_name, priority desc, scheduled_at, id)
    where status = 'todo' and scheduled_at is not null;
create index upgrader_jobs_locked on procrastinate_jobs (id) where status = 'todo' and lock is not null;

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

TAKING = """
-- What procrastinate_fetch_job_v2 does, but that it walks over every job that waits for its time, at each call: with
-- 300,000 of them it takes 60 ms, this one 0.2. Of jobs with a time it looks at those that are due.
-- Without a job: in how many seconds the next one is due.
create or replace function take_job(
    p_queues text[], p_worker_id bigint,
    out id bigint, out task_name text, out priority integer, out lock text, out queueing_lock text, out args jsonb,
    out scheduled_at timestamptz, out queue_name text, out attempts integer, out due_seconds double precision
) language plpgsql
-- Plans are made once, maybe while there are no jobs yet; what is switched off is dear, and would be compiled.
set enable_seqscan = off set enable_sort = off set jit = off set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    queue text;
    is_due boolean := false;
    first_time timestamptz;
    next_time timestamptz;
    ready_priority integer;
    ready_id bigint;
    best_queue text;
    best_priority integer;
    best_id bigint;
    place record;
    found_id bigint;
    few constant integer := 100;
begin
    -- The first one is an index with nothing in it, as a rule; the second alone would walk over all that is ready.
    if exists (select from procrastinate_jobs where status = 'todo' and lock is not null) and exists (
        select from procrastinate_jobs j
        where j.status = 'todo' and j.lock is not null and j.queue_name = any(p_queues)
          and (j.scheduled_at is null or j.scheduled_at <= now())
    ) then
        -- Added by somebody who uses Procrastinate itself: only one of those with the same lock may run at a time.
        select f.id, f.task_name, f.priority, f.lock, f.queueing_lock, f.args, f.scheduled_at, f.queue_name, f.attempts
        into id, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts
        from procrastinate_fetch_job_v2(p_queues, p_worker_id) f;
        if id is not null then
            return;
        end if;
    end if;
    foreach queue in array p_queues loop
        select j.priority, j.id into ready_priority, ready_id from procrastinate_jobs j
        where j.queue_name = queue and j.status = 'todo' and j.scheduled_at is null
        order by j.priority desc, j.id limit 1;
        if ready_id is not null and (
            best_id is null
            or ready_priority > best_priority
            or (ready_priority = best_priority and ready_id < best_id)
        ) then
            best_queue := queue;
            best_priority := ready_priority;
            best_id := ready_id;
        end if;
        select j.scheduled_at into first_time from procrastinate_jobs j
        where j.queue_name = queue and j.status = 'todo' and j.scheduled_at is not null
        order by j.scheduled_at limit 1;
        is_due := is_due or coalesce(first_time <= now(), false);
        next_time := least(next_time, first_time);
    end loop;
    if best_id is not null and not is_due then
        select j.id into found_id from procrastinate_jobs j
        where j.queue_name = best_queue and j.status = 'todo' and j.scheduled_at is null and j.lock is null
          and j.priority >= best_priority
        order by j.priority desc, j.id limit 1 for update skip locked;
    end if;
    if found_id is null and (is_due or best_id is not null) then
        for place in
            with recursive due as (
                select q.name, first.* from unnest(p_queues) q (name), lateral (
                    select j.priority, j.scheduled_at, j.id from procrastinate_jobs j
                    where j.queue_name = q.name and j.status = 'todo' and j.scheduled_at <= now()
                    order by j.scheduled_at limit few
                ) first
            ), timed as (
                -- More are due than were looked at: the first one of the highest priority of which one is.
                select q.name, first.* from (select name from due group by name having count(*) = few) q, lateral (
                    select j.priority, j.scheduled_at, j.id from procrastinate_jobs j
                    where j.queue_name = q.name and j.status = 'todo' and j.scheduled_at is not null
                    order by j.priority desc, j.scheduled_at, j.id limit 1
                ) first
                union all
                select t.name, next.* from timed t, lateral (
                    select j.priority, j.scheduled_at, j.id from procrastinate_jobs j
                    where j.queue_name = t.name and j.status = 'todo' and j.scheduled_at is not null
                      and j.priority < t.priority
                    order by j.priority desc, j.scheduled_at, j.id limit 1
                ) next where t.scheduled_at > now()
            )
            select ready.*, q.name from unnest(p_queues) q (name), lateral (
                select j.priority, j.scheduled_at, j.id from procrastinate_jobs j
                where j.queue_name = q.name and j.status = 'todo' and j.scheduled_at is null
                order by j.priority desc, j.id limit 1
            ) ready
            union all (
                select distinct on (t.name, t.priority) t.priority, t.scheduled_at, t.id, t.name
                from (select * from due union all select * from timed where scheduled_at <= now()) t
                order by t.name, t.priority, t.scheduled_at, t.id
            )
            order by priority desc, id
        loop
            if place.scheduled_at is null then
                select j.id into found_id from procrastinate_jobs j
                where j.queue_name = place.name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                  and j.priority >= place.priority
                order by j.priority desc, j.id limit 1 for update skip locked;
            else
                select j.id into found_id from procrastinate_jobs j
                where j.queue_name = place.name and j.status = 'todo' and j.priority = place.priority
                  and j.scheduled_at <= now() and j.lock is null
                order by j.scheduled_at, j.id limit 1 for update skip locked;
            end if;
            exit when found_id is not null;
        end loop;
        -- Others have the best ones of all in hand: what is below them.
        foreach queue in array p_queues loop
            exit when found_id is not null;
            select j.id into found_id from procrastinate_jobs j
            where j.queue_name = queue and j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.priority desc, j.id limit 1 for update skip locked;
        end loop;
    end if;
    if found_id is not null then
        update procrastinate_jobs j set status = 'doing', worker_id = p_worker_id where j.id = found_id
        returning
            j.id, j.task_name, j.priority, j.lock, j.queueing_lock, j.args, j.scheduled_at, j.queue_name, j.attempts
        into id, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts;
        return;
    end if;
    if is_due then  -- others have those in hand
        select min(next.scheduled_at) into next_time from unnest(p_queues) q (name), lateral (
            select j.scheduled_at from procrastinate_jobs j
            where j.queue_name = q.name and j.status = 'todo' and j.scheduled_at > now()
            order by j.scheduled_at limit 1
        ) next;
    end if;
    due_seconds := extract(epoch from next_time - clock_timestamp());
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
