-- The database of the killed backfills at release 1.0.0. It is at work on its own: no clock, no random value.
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
insert into core.tuning values ('commit', 0), ('batch', 0);

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
create function core.settle() returns trigger language plpgsql as $$
begin
    perform core.take_time('commit');
    return null;
end $$;

-- Each table has a counter that a backfill raises: 1 in the end says that a row was changed once. Some rows make
-- the COMMIT of their batch slow.
create table core.account (
    id bigint primary key, name text not null, touched integer not null default 0,
    measured integer not null default 0, is_slow boolean not null default false
);
insert into core.account (id, name, is_slow)
select n * 3 - 1500, 'Account ' || n, n % 600 = 300 from generate_series(1, 2400) n;

create table core.payment (
    account_id bigint not null, number uuid not null, touched integer not null default 0,
    is_slow boolean not null default false, unique (account_id, number)
);
insert into core.payment (account_id, number, is_slow)
select n / 7, md5(n::text)::uuid, n % 600 = 300 from generate_series(1, 2400) n;

-- Without a key: walked as they are stored.
create table core.entry (
    account_id bigint, touched integer not null default 0, is_slow boolean not null default false, note text
);
insert into core.entry (account_id, is_slow, note)
select n / 3, n % 600 = 300, repeat('x', n % 90) from generate_series(1, 2400) n;

create table core.visit (
    account_id bigint, touched integer not null default 0, is_slow boolean not null default false, note text
);
insert into core.visit (account_id, is_slow, note)
select n / 3, n % 600 = 300, repeat('y', n % 90) from generate_series(1, 2400) n;

do $$
declare
    walked text;
    place record;
begin
    foreach walked in array array['account', 'payment', 'entry', 'visit'] loop
        execute format(
            'create constraint trigger settle after update on core.%I deferrable initially deferred'
            ' for each row when (new.is_slow) execute function core.settle()', walked
        );
    end loop;
    for place in select number, 'w' || number as id, 'ws_w' || number as schema from generate_series(1, 5) number
    loop
        insert into core.workspace values (place.id, 'Workspace ' || place.number, 'ACTIVE', place.schema);
        execute format('create schema %I', place.schema);
        execute format(
            'create table %I.item (id integer primary key, touched integer not null default 0,'
            ' again integer not null default 0)', place.schema
        );
        execute format('insert into %I.item select n * 2 from generate_series(1, %s) n',
            place.schema, 100 + place.number * 60);
        execute format(
            'create table %I.note (item_id integer, touched integer not null default 0)', place.schema
        );
        execute format('insert into %I.note select n from generate_series(1, %s) n',
            place.schema, 700 - place.number * 100);
    end loop;
end $$;
analyze;
