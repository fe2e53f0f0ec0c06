"""The tables over which the coordinator of a run and its workers talk.

They are not logged: a server that crashed has no run to go on with, and nothing in them is history.
"""

from __future__ import annotations

from upgrader.worker.layout import LayoutPart

_TABLES = """
create unlogged table {schema}.distributed_run (
    run_id text primary key,
    state text not null default 'running',
    terms text not null,
    started_at timestamptz not null default clock_timestamp()
);
comment on table {schema}.distributed_run is 'The run whose workspaces are done by workers, while it is under way';

create unlogged table {schema}.distributed_member (
    run_id text not null,
    member_id text not null,
    name text not null,
    state text not null,
    note text,
    lanes integer not null default 0,
    pids integer[] not null default array[]::integer[],
    seen_at timestamptz not null default clock_timestamp(),
    primary key (run_id, member_id)
);
comment on table {schema}.distributed_member is 'The workers that take part in it';

create unlogged table {schema}.distributed_chunk (
    run_id text not null,
    number integer not null,
    member_id text,
    tasks text not null,
    primary key (run_id, number)
);
comment on table {schema}.distributed_chunk is 'Workspaces that wait for a worker, or are in the hands of one';

create unlogged table {schema}.distributed_message (
    id bigint generated always as identity primary key,
    run_id text not null,
    member_id text not null,
    body text not null
);
comment on table {schema}.distributed_message is 'What workers tell the coordinator, until it has read it';
"""

DISTRIBUTED = LayoutPart("distributed", (_TABLES,))
