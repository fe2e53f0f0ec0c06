"""Each row that is there at the start is changed once, whatever its key is like."""

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport

COUNT_UP = """
ctx.backfill("item", set_={"counter": "counter + 1"}, batch_size=7)
"""


def upgrade(project: Project, **options: object) -> RunReport:
    return project.api().upgrade(UpgradeOptions(include_slow=True, **options))  # type: ignore[arg-type]  # by name


def counters(project: Project) -> list[tuple[int, int]]:
    """Give how often rows were changed, and how many were so."""
    return project.query("select counter, count(*) from item group by 1 order by 1")


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        pytest.param("id int primary key", "select i from generate_series(1, 100) i", id="integer"),
        pytest.param(
            "id bigint primary key", "select i * 4000000000 from generate_series(-40, 40) i", id="negative"
        ),
        pytest.param(
            "id smallint primary key", "select i * 300 from generate_series(-100, 100) i", id="gaps"
        ),
        pytest.param("id int primary key", "select 1", id="one row"),
        pytest.param("id int primary key", "select 1 where false", id="no rows"),
        pytest.param(
            "id uuid primary key", "select gen_random_uuid() from generate_series(1, 100)", id="uuid"
        ),
        pytest.param(
            "id text primary key",
            "select c || E'\\'\\\\ %:x' || i from generate_series(1, 20) i, unnest(array['a', 'B', 'ä', '', '-']) c",
            id="text",
        ),
        pytest.param(
            'id text collate "C" primary key',
            "select md5(i::text) from generate_series(1, 100) i",
            id="text in C",
        ),
        pytest.param(
            "id varchar(10) primary key", "select 'x' || i from generate_series(1, 100) i", id="varchar"
        ),
        pytest.param("id char(6) primary key", "select 'x' || i from generate_series(1, 100) i", id="char"),
        pytest.param(
            "id timestamptz primary key",
            "select 'infinity'::timestamptz union select '-infinity' union select '4700-01-01 BC'"
            " union select '20000-01-01' union select now() + i * interval '1.000001 s' from generate_series(1, 90) i",
            id="timestamptz",
        ),
        pytest.param(
            "id timestamp primary key",
            "select 'infinity'::timestamp union select '2024-01-02'::timestamp + i * interval '1 day'"
            " from generate_series(1, 90) i",
            id="timestamp",
        ),
        pytest.param(
            "id date primary key", "select date '2024-01-02' + i from generate_series(1, 90) i", id="date"
        ),
        pytest.param(
            "id interval primary key",
            "select i * interval '-1 day 7 seconds' from generate_series(-50, 50) i",
            id="interval",
        ),
        pytest.param(
            "id numeric primary key",
            "select 'NaN'::numeric union select 'infinity' union select i / 7.0 from generate_series(-50, 50) i",
            id="numeric",
        ),
        pytest.param(
            "id float8 primary key",
            "select 'NaN'::float8 union select '-inf' union select i / 7.0::float8 from generate_series(-50, 50) i",
            id="float",
        ),
        pytest.param(
            "id bytea primary key",
            "select decode(md5(i::text), 'hex') from generate_series(1, 90) i",
            id="bytea",
        ),
        pytest.param(
            "id inet primary key", "select inet '10.0.0.0' + i from generate_series(1, 90) i", id="inet"
        ),
        pytest.param("id mood primary key", "select unnest(enum_range(null::mood))", id="enum"),
        pytest.param("id even primary key", "select i * 2 from generate_series(-50, 50) i", id="domain"),
        pytest.param(
            "id int, tenant int, primary key (tenant, id)",
            "select i, i % 3 from generate_series(1, 100) i",
            id="composite",
        ),
        pytest.param(
            "id int, tenant text, day date, primary key (tenant, day, id)",
            "select i, 't' || i % 3, date '2024-01-01' + i % 5 from generate_series(1, 100) i",
            id="composite of three",
        ),
        pytest.param("id int unique not null", "select i from generate_series(1, 100) i", id="unique"),
        pytest.param(
            "id int not null, tenant int not null, unique (tenant, id) deferrable initially deferred",
            "select i, i % 3 from generate_series(1, 100) i",
            id="deferrable",
        ),
        pytest.param("id int", "select i from generate_series(1, 100) i", id="no key"),
        pytest.param(
            "id int unique", "select nullif(i, 5) from generate_series(1, 100) i", id="a key that may be NULL"
        ),
        pytest.param('"Odd ""Name" int primary key', "select i from generate_series(1, 50) i", id="quoted"),
    ],
)
def test_every_kind_of_key(project: Project, columns: str, rows: str):
    """A table with any kind of key, or none, is gone through once, in batches, whatever the session's settings are."""
    with project.connect() as connection:
        connection.execute("create type mood as enum ('sad', 'ok', 'happy')")
        connection.execute("create domain even as int check (value % 2 = 0)")
        connection.execute(f"create table item ({columns}, counter int not null default 0)".encode())
        names = connection.execute(
            "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute"
            " where attrelid = 'item'::regclass and attnum > 0 and attname <> 'counter'"
        ).fetchone()
        assert names is not None
        connection.execute(f"insert into item ({names[0]}) {rows}".encode())
        database = connection.info.dbname
        for setting in (
            "datestyle = 'SQL, DMY'",
            "intervalstyle = 'sql_standard'",
            "timezone = 'Asia/Kolkata'",
            "extra_float_digits = 0",
            "bytea_output = 'escape'",
        ):
            connection.execute(f'alter database "{database}" set {setting}'.encode())
    before = project.query("select count(*) from item")[0][0]
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)

    report = upgrade(project)

    assert report.failures == []
    assert report.outcome is Outcome.DONE
    assert counters(project) == ([(1, before)] if before else [])
    assert attempts(project) == [("Fill", None, 1, "completed")]
    assert project.query("select count(*) from upgrader.backfill") == [(0,)]
