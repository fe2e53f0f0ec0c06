"""The SQL of backfills in the history schema: how far each one is, and what the operator wants of it.

A checkpoint is written in the transaction of its batch, and goes with the attempt that completes its step: see
`complete_step()` and `forget_workspace()`. An order is a row of its own table, so that it never waits for a batch
and no batch waits for it.
"""

CHECKPOINT_MOVED = "UPG06"
"""SQLSTATE: the checkpoint of a batch is not where the batch began any more."""

BACKFILL_TABLES = """
create table {schema}.backfill (
    id bigint generated always as identity primary key,
    step text not null,
    workspace_id text,
    label text not null,
    checksum text not null,
    relation text not null,
    relation_oid bigint not null,
    filenode bigint not null,
    key_columns text[] not null,
    last_key text[],
    upper_key text[],
    rows_done bigint not null default 0,
    batches bigint not null default 0,
    rows_estimated bigint,
    batch_rows integer,
    rows_per_second double precision,
    own_transactions int8multirange not null default '{{}}',
    pass integer not null default 1,
    is_clearing boolean,
    waiting_for text,
    waiting_since timestamptz,
    is_finished boolean not null default false,
    run_id text,
    started_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
comment on table {schema}.backfill is
    'Checkpoints: how far a backfill is; one row per step, scope and label until the step completes or is reverted';
comment on column {schema}.backfill.key_columns is 'Empty: the table is walked by ctid';
comment on column {schema}.backfill.own_transactions is
    'By ctid only: the transactions of its batches, whose rows are done wherever they lie now';
comment on column {schema}.backfill.is_clearing is
    'By ctid only: whether a row that was changed is none of those that are to be changed any more';
create unique index backfill_key on {schema}.backfill (coalesce(workspace_id, ''), step, label);

create table {schema}.backfill_order (
    backfill_id bigint primary key,
    wanted text not null check (wanted in ('pause', 'cancel')),
    ordered_by text not null,
    ordered_at timestamptz not null default clock_timestamp()
);
comment on table {schema}.backfill_order is
    'What an operator wants of a backfill; no foreign key, it would wait for the batch that holds the checkpoint';
"""

BACKFILL_FUNCTIONS = """
-- Moves a checkpoint on, in the transaction of its batch; of two that do the same batch the second one fails.
create function {schema}.move_backfill(
    p_id bigint, p_batches bigint, p_last_key text[], p_upper_key text[], p_rows bigint, p_batch_rows integer,
    p_rows_per_second double precision, p_is_finished boolean, p_pass integer, p_is_clearing boolean, p_run_id text
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $body$
declare
    own int8multirange := int8multirange(int8range(
        pg_current_xact_id()::text::bigint, pg_current_xact_id()::text::bigint, '[]'));
begin
    update {schema}.backfill set last_key = p_last_key, upper_key = p_upper_key, rows_done = rows_done + p_rows,
        batches = p_batches + 1, batch_rows = p_batch_rows, rows_per_second = p_rows_per_second,
        is_finished = p_is_finished, pass = p_pass, is_clearing = p_is_clearing,
        own_transactions = case when cardinality(key_columns) = 0 then own_transactions + own
            else own_transactions end,
        waiting_for = null, waiting_since = null, run_id = p_run_id, updated_at = clock_timestamp()
    where id = p_id and batches = p_batches;
    if not found then
        raise exception 'the checkpoint of this backfill was moved by somebody else' using errcode = '{moved}';
    end if;
end $body$;

-- With the step that is completed or taken back.
create function {schema}.end_backfills(p_workspace_id text, p_name text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    delete from {schema}.backfill_order o using {schema}.backfill b
    where o.backfill_id = b.id and coalesce(b.workspace_id, '') = coalesce(p_workspace_id, '')
      and (b.step = p_name or p_name is null);
    delete from {schema}.backfill
    where coalesce(workspace_id, '') = coalesce(p_workspace_id, '') and (step = p_name or p_name is null);
end $body$;
"""
