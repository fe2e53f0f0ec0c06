-- The database of the killed runs at release 1.0.0. It is at work on its own: no clock, no random value.
create schema core;

create table core.workspace (
    id text primary key,
    display_name text not null,
    activation_status text not null,
    database_schema text not null
);

-- One row for each time that a step's effect was committed.
create table core.effect (step text not null, scope text not null);

-- Seconds that something takes; 0 unless a test needs it slow.
create table core.tuning (what text primary key, seconds double precision not null);
insert into core.tuning values ('commit', 0), ('index', 0), ('batch', 0);

create function core.take_time(p_what text) returns void language plpgsql as $$
declare
    wanted double precision;
begin
    select t.seconds into wanted from core.tuning t where t.what = p_what;
    if wanted > 0 then
        perform pg_sleep(wanted);
    end if;
end $$;

-- Takes its time at COMMIT.
create table core.receipt (step text not null, scope text not null);
create function core.settle() returns trigger language plpgsql as $$
begin
    perform core.take_time('commit');
    return null;
end $$;
create constraint trigger settle after insert on core.receipt
    deferrable initially deferred for each row execute function core.settle();

-- Takes its time for each row of an index build; a lie about being immutable, as authors tell it.
create function core.sort_key(p_title text) returns text language plpgsql immutable as $$
begin
    perform core.take_time('index');
    return lower(p_title);
end $$;

create table core.customer (
    id integer primary key,
    workspace_id text not null references core.workspace,
    name text not null,
    amount_cents bigint not null
);

do $$
declare
    place record;
begin
    for place in
        select number, 'w' || number as id, 'ws_w' || number as schema from generate_series(1, 6) number
    loop
        insert into core.workspace values (
            place.id, 'Workspace ' || place.number,
            case when place.number % 3 = 0 then 'SUSPENDED' else 'ACTIVE' end, place.schema
        );
        insert into core.customer
        select place.number * 100 + n, place.id, 'Customer ' || n, (place.number * 37 + n * 11) * 10
        from generate_series(1, 5) n;
        execute format('create schema %I', place.schema);
        execute format(
            'create table %I.item (id integer primary key, title text not null, price bigint not null)', place.schema
        );
        -- Tenants differ: each has a column of its own.
        execute format('alter table %I.item add column own_%s integer not null default %s',
            place.schema, place.number, place.number);
        execute format(
            'insert into %I.item (id, title, price) select n, ''Item '' || n, 100 + n from generate_series(1, %s) n',
            place.schema, 3 + place.number % 4
        );
    end loop;
end $$;
