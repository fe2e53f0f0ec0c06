"""The queue's schema: where it lies, how it is brought up to date, who may."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.support.server import Role, wait_until
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.errors import LayoutError
from upgrader.worker.queue import layout
from upgrader.worker.queue.layout import bring_up_to_date, packaged_migrations, read_layout

_WHERE = """
select distinct n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union select distinct n.nspname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union select distinct n.nspname from pg_type t join pg_namespace n on n.oid = t.typnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""


def test_everything_is_in_a_schema_of_its_own(connection: psycopg.Connection) -> None:
    """Nothing is made in `public`, or anywhere else."""
    bring_up_to_date(connection, SCHEMA)
    assert connection.execute(_WHERE.encode()).fetchall() == [(SCHEMA,)]


@pytest.mark.parametrize("schema", ['odd "name"%s:x', "Große_Schlange"])
def test_any_name_of_the_schema_does(connection: psycopg.Connection, schema: str) -> None:
    """Also one with quotes, a percent sign, capitals."""
    bring_up_to_date(connection, schema)
    assert connection.execute(_WHERE.encode()).fetchall() == [(schema,)]


def test_a_second_time_changes_nothing(connection: psycopg.Connection) -> None:
    """Whoever starts later writes nothing: also in a read-only transaction."""
    bring_up_to_date(connection, SCHEMA)
    connection.execute("set default_transaction_read_only = on")
    bring_up_to_date(connection, SCHEMA)


def test_several_workers_may_start_at_once(database_url: str) -> None:
    """One makes it, the others find it made."""

    def start(_: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as driver:
            bring_up_to_date(driver, SCHEMA)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(start, range(8))) == [None] * 8


def test_reading_writes_nothing(connection: psycopg.Connection) -> None:
    """Who only looks makes no schema."""
    assert read_layout(connection, SCHEMA) is None
    assert connection.execute(_WHERE.encode()).fetchall() == []


def test_functions_find_their_tables_from_any_search_path(ground: QueueGround) -> None:
    """A trigger that an update elsewhere fires does too."""
    ground.connection.execute("set search_path = pg_catalog")
    ground.queue.add("mails", "send")
    number = ground.start()
    assert number is not None
    ground.finish(number)
    assert ground.jobs() == [("send", "succeeded")]


def test_a_newer_library_brings_its_migrations_along(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are applied, each once, and what is ours stands again afterwards: also above a column whose type changes."""
    migration = tmp_path / "99.00.00_01_pre_something.sql"
    migration.write_text(
        "CREATE TYPE procrastinate_other_status AS ENUM ('todo', 'doing', 'succeeded', 'failed');"
        "CREATE TABLE procrastinate_once (id bigint);"
        "CREATE FUNCTION procrastinate_new_v9() RETURNS bigint LANGUAGE sql"
        " AS 'select count(*) from pg_class where relname = ''x''';"
    )
    monkeypatch.setattr(layout, "packaged_migrations", lambda: [*packaged_migrations(), migration])
    for _ in range(2):
        bring_up_to_date(ground.connection, SCHEMA)
    found = read_layout(ground.connection, SCHEMA)
    assert found is not None
    assert found.migration == migration.stem
    (settings,) = ground.connection.execute(
        "select proconfig from pg_proc where proname = 'procrastinate_new_v9'"
    ).fetchall()
    assert settings == ([f"search_path={SCHEMA}, pg_temp"],)
    assert ground.queue.add("mails", "send", id="one") is not None
    assert ground.queue.add("mails", "send", id="one") is None


def test_what_older_workers_use_goes_when_they_are_gone(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A migration of the second part waits for a start without other workers."""
    pre, post = tmp_path / "99.00.00_01_pre_add.sql", tmp_path / "99.00.00_50_post_remove.sql"
    pre.write_text("CREATE TABLE procrastinate_added (id bigint);")
    post.write_text("DROP TABLE procrastinate_added;")
    monkeypatch.setattr(layout, "packaged_migrations", lambda: [*packaged_migrations(), pre, post])
    ground.connection.execute(f"insert into {SCHEMA}.procrastinate_workers default values".encode())
    bring_up_to_date(ground.connection, SCHEMA)
    assert read_layout(ground.connection, SCHEMA) == layout.QueueLayout(pre.stem, layout.LAYOUT_VERSION)
    ground.connection.execute(f"delete from {SCHEMA}.procrastinate_workers".encode())
    bring_up_to_date(ground.connection, SCHEMA)
    assert read_layout(ground.connection, SCHEMA) == layout.QueueLayout(post.stem, layout.LAYOUT_VERSION)


def test_nothing_is_touched_where_only_what_has_to_wait_is_missing(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second part waits for the older workers; each start meanwhile leaves tables and locks alone."""
    post = tmp_path / "99.00.00_50_post_remove.sql"
    post.write_text("DROP TABLE procrastinate_jobs;")
    monkeypatch.setattr(layout, "packaged_migrations", lambda: [*packaged_migrations(), post])
    ground.connection.execute(f"insert into {SCHEMA}.procrastinate_workers default values".encode())
    with psycopg.connect(ground.url) as application, application.transaction():
        application.execute(f"select {SCHEMA}.add_job('mails', 'send', '{{}}', null, 0, 0, null)".encode())
        bring_up_to_date(ground.connection, SCHEMA)
    assert ground.jobs() == [("send", "todo")]


def test_the_application_goes_on_while_a_long_transaction_holds_the_tables(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that brings them up to date waits in short turns, with nothing held, until it has them all."""
    monkeypatch.setattr(layout, "_LOCK_SECONDS", 0.2)
    monkeypatch.setattr(layout, "_REST_SECONDS", 0.1)
    ground.connection.execute(f"update {SCHEMA}.queue_layout set layout = 1".encode())
    with (
        psycopg.connect(ground.url, autocommit=True) as driver,
        psycopg.connect(ground.url) as application,
        ThreadPoolExecutor(1) as thread,
    ):
        application.execute(f"select {SCHEMA}.add_job('mails', 'send', '{{}}', null, 0, 0, null)".encode())
        made = thread.submit(bring_up_to_date, driver, SCHEMA)
        waits = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
        for _ in range(3):
            wait_until(lambda: bool(ground.connection.execute(waits, [driver.info.backend_pid]).fetchall()))
            with psycopg.connect(ground.url, autocommit=True, options="-c statement_timeout=20s") as other:
                other.execute(f"select {SCHEMA}.add_job('mails', 'send', '{{}}', null, 0, 0, null)".encode())
        assert not made.done()
        application.commit()
        made.result(60)
    assert len(ground.jobs()) == 4
    assert read_layout(ground.connection, SCHEMA) == layout.QueueLayout(
        packaged_migrations()[-1].stem, layout.LAYOUT_VERSION
    )


def test_tables_that_nobody_lets_go_of_are_told_as_such(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute; what is there is as it was."""
    for name, value in (("_LOCK_SECONDS", 0.01), ("_REST_SECONDS", 0.01), ("_TRIES", 3)):
        monkeypatch.setattr(layout, name, value)
    ground.connection.execute(f"update {SCHEMA}.queue_layout set layout = 1".encode())
    with (
        psycopg.connect(ground.url, autocommit=True) as driver,
        psycopg.connect(ground.url) as application,
    ):
        application.execute(f"select {SCHEMA}.add_job('mails', 'send', '{{}}', null, 0, 0, null)".encode())
        with pytest.raises(LayoutError, match="a transaction that lasts") as caught:
            bring_up_to_date(driver, SCHEMA)
        assert "nothing was changed" in str(caught.value.hint)
    found = read_layout(ground.connection, SCHEMA)
    assert found is not None
    assert found.layout == 1


def test_an_older_library_is_refused(ground: QueueGround, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not know the tables that a newer one made."""
    monkeypatch.setattr(layout, "packaged_migrations", lambda: packaged_migrations()[:-1])
    with pytest.raises(LayoutError, match="newer Procrastinate") as caught:
        bring_up_to_date(ground.connection, SCHEMA)
    assert caught.value.hint


def test_a_newer_layout_is_refused(ground: QueueGround) -> None:
    """A newer version of this program was there."""
    ground.connection.execute(f"update {SCHEMA}.queue_layout set layout = 99".encode())
    with pytest.raises(LayoutError, match="layout 99"):
        bring_up_to_date(ground.connection, SCHEMA)


def test_a_role_that_may_not_make_it_is_told_what_to_do(
    database_url: str, make_role: Callable[..., Role]
) -> None:
    """The error names the statement that an administrator runs; nothing is left behind."""
    role = make_role()
    with psycopg.connect(role.url(database_url), autocommit=True) as driver:
        with pytest.raises(LayoutError, match="may not make the schema") as caught:
            bring_up_to_date(driver, SCHEMA)
        assert f'CREATE SCHEMA "{SCHEMA}" AUTHORIZATION "{role.name}"' in str(caught.value.hint)
        assert driver.execute(_WHERE.encode()).fetchall() == []


def test_a_role_that_may_not_use_it_is_told_what_to_do(
    ground: QueueGround, make_role: Callable[..., Role]
) -> None:
    """The statements of the hint are enough."""
    role = make_role()
    with psycopg.connect(role.url(ground.url), autocommit=True) as driver:
        with pytest.raises(LayoutError, match="may not use the queue") as caught:
            bring_up_to_date(driver, SCHEMA)
        hint = str(caught.value.hint)
        for statement in hint.partition("run: ")[2].split(";"):
            ground.connection.execute(statement.encode())
        bring_up_to_date(driver, SCHEMA)


def test_a_read_only_database_is_told(connection: psycopg.Connection) -> None:
    """A standby, or a role whose transactions are read-only."""
    connection.execute("set default_transaction_read_only = on")
    with pytest.raises(LayoutError, match="read-only"):
        bring_up_to_date(connection, SCHEMA)
