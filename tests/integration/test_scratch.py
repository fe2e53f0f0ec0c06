"""The scratch place: what is refused, what is left behind, what the base is made of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.checking import checking
from tests.support.project import Project
from tests.support.server import PostgresServer, Role
from upgrader.check.base import lay_base
from upgrader.check.catalog.read import list_schemas
from upgrader.check.leftover_databases import PREFIX
from upgrader.check.scratch import open_scratch
from upgrader.errors import OperatorError, SettingsError
from upgrader.events import Event, StatementExecuted
from upgrader.settings import Settings


def _scratch_databases(server: PostgresServer) -> set[str]:
    with psycopg.connect(server.url, autocommit=True) as admin:
        rows = admin.execute(
            "select datname from pg_database where datname like %s", [f"{PREFIX}%"]
        ).fetchall()
    return {name for (name,) in rows}


def _exists(server: PostgresServer, url: str) -> bool:
    return psycopg.conninfo.conninfo_to_dict(url)["dbname"] in _scratch_databases(server)


def test_databases_are_copies_and_are_dropped_at_the_end(
    server: PostgresServer, database_url: str, connection: psycopg.Connection
) -> None:
    """What is made is a copy of the given database, also while somebody is connected to it; then it is gone."""
    connection.execute("comment on schema public is 'the given one'")
    connection.close()
    with open_scratch(Settings(), url=database_url) as scratch:
        made = scratch.make_database()
        with psycopg.connect(made) as inside:
            assert inside.execute("select obj_description('public'::regnamespace)").fetchone() == (
                "the given one",
            )
        assert _exists(server, made)
        busy = psycopg.connect(made)
    assert not _exists(server, made)
    busy.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_databases_are_dropped_whatever_ends_it(
    server: PostgresServer, database_url: str, error: type[BaseException]
) -> None:
    """An interruption leaves nothing behind."""

    def interrupted() -> None:
        with open_scratch(Settings(), url=database_url) as scratch:
            made.append(scratch.make_database())
            raise error

    made: list[str] = []
    with pytest.raises(error):
        interrupted()
    assert not _exists(server, made[0])


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("create table t (id int)", "the table t"),
        ("create schema core", "the schema core"),
        ("create sequence s", "the sequence s"),
        ("create view v as select 1", "the view v"),
        ("create type mood as enum ('a')", "the type mood"),
        ("create function one() returns int language sql as 'select 1'", "the function one()"),
    ],
)
def test_a_database_that_is_not_empty_is_refused(
    database_url: str, connection: psycopg.Connection, sql: str, words: str
) -> None:
    """Whatever a user has made in it speaks against it; the message names it."""
    connection.execute(sql.encode())
    with (
        pytest.raises(OperatorError, match="is not empty") as caught,
        open_scratch(Settings(), url=database_url),
    ):
        pass
    assert words in caught.value.message
    assert "CREATE DATABASE" in str(caught.value.hint)


def test_extensions_do_not_speak_against_it(database_url: str, connection: psycopg.Connection) -> None:
    """What belongs to an extension is no user's object."""
    available = connection.execute("select name from pg_available_extensions").fetchall()
    name = next((n for (n,) in available if n in ("vector", "pg_stat_statements", "citext")), None)
    if name is None:
        pytest.skip("the server has no extension to try")
    connection.execute(f"create extension {name}".encode())
    connection.close()
    with (
        open_scratch(Settings(), url=database_url) as scratch,
        psycopg.connect(scratch.make_database()) as inside,
    ):
        found = inside.execute("select from pg_extension where extname = %s", [name]).fetchone()
    assert found is not None


def test_the_configured_database_is_refused(database_url: str) -> None:
    """Nobody's real database is a scratch one, empty or not."""
    with (
        pytest.raises(OperatorError, match="the configured one"),
        open_scratch(Settings(database_url=database_url), url=database_url),
    ):
        pass


def test_a_role_that_may_not_make_databases_is_refused(
    database_url: str, make_role: Callable[..., Role]
) -> None:
    """The hint says what a superuser has to run; no password is told."""
    role = make_role()
    with (
        pytest.raises(OperatorError, match="may not make databases") as caught,
        open_scratch(Settings(), url=role.url(database_url)),
    ):
        pass
    assert f"ALTER ROLE {role.name} CREATEDB".replace('"', "") in str(caught.value.hint).replace('"', "")
    assert role.password not in f"{caught.value.message} {caught.value.hint}"


def test_a_role_that_may_make_databases_has_to_own_the_one_that_is_copied(
    database_url: str, connection: psycopg.Connection, make_role: Callable[..., Role]
) -> None:
    """CREATEDB is not enough to copy somebody else's database; owning it is."""
    role = make_role("CREATEDB")
    url = role.url(database_url)
    with (
        pytest.raises(OperatorError, match="no copy of the scratch database") as caught,
        open_scratch(Settings(), url=url) as scratch,
    ):
        scratch.make_database()
    assert "OWNER TO" in str(caught.value.hint)
    connection.execute(f'alter database "{connection.info.dbname}" owner to "{role.name}"'.encode())
    connection.close()
    with open_scratch(Settings(), url=url) as scratch, psycopg.connect(scratch.make_database()) as inside:
        assert inside.execute("select current_user").fetchone() == (role.name,)


def test_an_embedded_address_is_refused() -> None:
    """The flag for that is another one."""
    with (
        pytest.raises(OperatorError, match="may not be an embedded one") as caught,
        open_scratch(Settings(), url="embedded:somewhere"),
    ):
        pass
    assert "--embedded" in str(caught.value.hint)


def test_an_embedded_server_of_its_own_is_thrown_away() -> None:
    """It is there while it is used, and its folder is gone afterwards."""
    with open_scratch(Settings()) as scratch:
        made = scratch.make_database()
        with psycopg.connect(made) as inside:
            row = inside.execute("show data_directory").fetchone()
            assert inside.execute("show fsync").fetchone() == ("off",)
        assert row is not None
        assert Path(row[0]).exists()
    assert not Path(row[0]).parent.exists()


DUMP = r"""
--
-- PostgreSQL database dump
--
\restrict abc'def
SET statement_timeout = 0;
SET transaction_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA core;
ALTER SCHEMA core OWNER TO nobody_here;
CREATE FUNCTION core.talk() RETURNS text LANGUAGE plpgsql AS $_$
begin /*
\echo this is a string
GRANT nothing TO nobody;
*/
  return 'COPY x FROM stdin';
end $_$;
ALTER FUNCTION core.talk() OWNER TO nobody_here;
CREATE TABLE core.item (id integer NOT NULL, label text DEFAULT 'it''s; \x');
ALTER TABLE core.item OWNER TO nobody_here;
REVOKE ALL ON TABLE core.item FROM PUBLIC;
GRANT SELECT ON TABLE core.item TO nobody_here;
ALTER DEFAULT PRIVILEGES FOR ROLE nobody_here IN SCHEMA core GRANT SELECT ON TABLES TO nobody_here;
\unrestrict abc'def
"""


def _lay(database_url: str, **check: object) -> list[str]:
    settings = Settings.model_validate({"check": check})
    with open_scratch(settings, url=database_url) as scratch:
        url = lay_base(scratch, settings).copy()
        with psycopg.connect(url) as inside:
            return list(list_schemas(inside))


def test_a_dump_is_a_base_schema(database_url: str, tmp_path: Path) -> None:
    """psql's own commands, owners and privileges are left out; what only looks like them is not."""
    (tmp_path / "base.sql").write_text(DUMP)
    settings = Settings.model_validate({"check": {"base_schema": tmp_path / "base.sql"}})
    with (
        open_scratch(settings, url=database_url) as scratch,
        psycopg.connect(lay_base(scratch, settings).copy()) as inside,
    ):
        row = inside.execute("select prosrc from pg_proc where proname = 'talk'").fetchone()
        default = inside.execute("select pg_get_expr(adbin, adrelid) from pg_attrdef").fetchone()
    assert row is not None
    assert "\\echo this is a string\nGRANT nothing TO nobody;" in row[0]
    assert default == ("'it''s; \\x'::text",)


def test_an_error_in_the_base_schema_names_its_line(database_url: str, tmp_path: Path) -> None:
    """The place is that of the file, whatever was blanked out above."""
    (tmp_path / "base.sql").write_text(
        "\\restrict x\ncreate schema core;\n\ncreate table core.t (id nonsense);\n"
    )
    with pytest.raises(OperatorError, match=r'base\.sql:4: .*type "nonsense" does not exist'):
        _lay(database_url, base_schema=tmp_path / "base.sql")


def test_a_missing_base_schema_is_refused(database_url: str, tmp_path: Path) -> None:
    """The setting is named."""
    with pytest.raises(OperatorError, match="No such file") as caught:
        _lay(database_url, base_schema=tmp_path / "none.sql")
    assert "base_schema" in str(caught.value.hint)


def test_prepare_that_fails_or_is_not_there_is_told(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the function raised is told; a function that is not there is a mistake in the settings."""
    (tmp_path / "scratch_base_one.py").write_text(
        "from sqlalchemy import text\ndef fail(connection):\n"
        "    connection.execute(text('select * from nowhere'))\nnone = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        OperatorError, match=r'(?s)prepare .* failed: .*"nowhere" does not exist.*scratch_base_one.py:3'
    ):
        _lay(database_url, prepare="scratch_base_one:fail")
    with pytest.raises(SettingsError, match="cannot be imported"):
        _lay(database_url, prepare="scratch_base_one:gone")
    with pytest.raises(SettingsError, match="is a int, not a function"):
        _lay(database_url, prepare="scratch_base_one:none")
    sys.modules.pop("scratch_base_one", None)


def test_commands_up_to_the_base_version_count_as_done(project: Project) -> None:
    """With `base_version` only what comes after it runs."""
    (project.directory / "base.sql").write_text("create table public.t (id int);")
    project.configure(
        check={"base_schema": str(project.directory / "base.sql"), "base_version": "1.0.0"},
        app_version="1.1.0",
    )
    project.fast("1.0.0", 1, "Make", "create table public.t (id int)")
    project.fast("1.1.0", 1, "Widen", "alter table public.t add x int")
    with checking(project) as check:
        result = check.sequence()
    assert result.is_complete
    assert list(result.report.steps) == ["1.1.0_Widen_1"]


def test_a_base_version_above_the_application_is_refused(project: Project) -> None:
    """There would be nothing left to check."""
    project.configure(check={"base_version": "2.0.0"})
    project.fast("1.0.0", 1, "Make", "create table public.t (id int)")
    with (
        checking(project) as check,
        pytest.raises(OperatorError, match=r"base_version 2.0.0 is above app_version"),
    ):
        check.sequence()


def test_a_failing_command_is_a_finding_at_its_line(project: Project) -> None:
    """The line that issued the statement is named, in a helper module too; what comes after it has not run."""
    project.write(
        "commands/_shared.py",
        "from sqlalchemy import text\n\n\ndef run(c):\n    c.execute(text('select 1 / 0'))\n",
    )
    project.fast("1.0.0", 1, "Good", "select 1")
    project.slow("1.0.0", 2, "Bad", "from .._shared import run\nrun(connection)")
    project.fast("1.1.0", 1, "Later", "select 1")
    with checking(project) as check:
        result = check.sequence()
    (finding,) = result.findings
    assert not result.is_complete
    assert (finding.rule, finding.step) == ("sequence-fails", "1.0.0_Bad_2")
    assert (finding.file, finding.line) == (project.commands / "_shared.py", 5)
    assert "DivisionByZero: division by zero" in finding.message
    assert list(result.report.steps) == ["1.0.0_Good_1", "1.0.0_Bad_2"]


def test_statements_of_the_sequence_reach_the_sink(project: Project) -> None:
    """Whoever captures hears each statement of the commands."""
    project.fast("1.0.0", 1, "Make", "create table public.t (id int)")
    heard: list[Event] = []
    with checking(project) as check:
        check.sequence(heard.append)
    assert [one.statement for one in heard if isinstance(one, StatementExecuted)] == [
        "create table public.t (id int)"
    ]
