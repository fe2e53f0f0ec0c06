"""Which tables a statement works on."""

from __future__ import annotations

import pytest

from upgrader.lint.tables import tables_of


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("ALTER TABLE core.invoice ADD COLUMN a int", ("core.invoice",)),
        ("alter table if exists only core . invoice add a int", ("core.invoice",)),
        ('alter table "Core"."My ""Table""" add a int', ('"Core"."My ""Table"""',)),
        ("create unique index concurrently if not exists i on only t (a)", ("t",)),
        ("create index on core.t using gin (a)", ("core.t",)),
        ("drop index concurrently if exists core.i", ("core.i",)),
        ("reindex (verbose) table concurrently t", ("t",)),
        ("vacuum (full, analyze) t", ("t",)),
        ("vacuum full verbose t", ("t",)),
        ("refresh materialized view concurrently m", ("m",)),
        ("update only t set a = 1", ("t",)),
        ("delete from t where a = 1", ("t",)),
        ("insert into t values (1)", ("t",)),
        ("truncate table t cascade", ("t",)),
        ("lock table t in exclusive mode", ("t",)),
        ("alter table a add foreign key (b) references core.b (id)", ("a", "core.b")),
        ("create trigger x before update on t for each row execute function f()", ("t",)),
        ("-- alter table x\n/* update y */ alter table t add a int", ("t",)),
        ("alter table t add check (a <> 'update x set'); drop table u", ("t", "u")),
        ("create table t (a int references u)", ()),
        ("select 1", ()),
        ("do $$ begin update t set a = 1; end $$", ()),
        ("with x as (select 1) update t set a = 1", ()),
        ("grant select on t to r", ()),
        ("", ()),
    ],
)
def test_tables(text: str, tables: tuple[str, ...]):
    """By the first words of each statement; strings and comments hide nothing and are hidden."""
    assert tables_of(text) == tables
