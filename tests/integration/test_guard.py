"""What commands do to their connection: what is refused, what is found out, what the next one inherits.

Each case is a workspace of its own, and all of them go through one run, one after the other on the same session:
so each finds what the one before it has left.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.server import PostgresServer
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport

ENDED = "the command ended its transaction"
RESET = "the command ended its transaction or reset the session"
CLOSED = "the command closed its connection"
LEFT_LOCK = "the command left a session advisory lock"


@dataclass(frozen=True)
class Case:
    """A command's body, and what comes of it.

    Attributes:
        error: a part of the history's error message; None where the step is completed.
        leaks: whether what it did before is kept although it failed: it was committed behind our back.
    """

    name: str
    body: str
    error: str | None = None
    leaks: bool = False


def refused(*cases: tuple[str, str, str]) -> list[Case]:
    return [Case(*case) for case in cases]


def allowed(*cases: tuple[str, str]) -> list[Case]:
    return [Case(*case) for case in cases]


TRANSACTIONAL = [
    # Refused at the author's line.
    *refused(
        ("commit method", "c.commit()", "may not call commit()"),
        ("rollback method", "c.rollback()", "may not call rollback()"),
        ("close method", "c.close()", "may not call rollback() or close()"),
        ("commit of the transaction", "c.get_transaction().commit()", "may not call commit()"),
        ("rollback of the transaction", "c.get_transaction().rollback()", "may not call rollback()"),
        ("a second begin", "c.begin()", "InvalidRequestError"),
        ("autocommit option", "c.execution_options(isolation_level='AUTOCOMMIT')", "may not be altered"),
        ("COMMIT", "sql('COMMIT')", "may not execute COMMIT"),
        ("commit in lower case", "sql('commit')", "may not execute COMMIT"),
        ("COMMIT AND CHAIN", "sql('commit and chain')", "may not execute COMMIT"),
        ("COMMIT PREPARED", "sql(\"commit prepared 'x'\")", "may not execute COMMIT"),
        ("ROLLBACK", "sql('ROLLBACK')", "may not execute ROLLBACK"),
        ("ROLLBACK WORK", "sql('rollback work')", "may not execute ROLLBACK"),
        ("END", "sql('END TRANSACTION')", "may not execute END"),
        ("ABORT", "sql('ABORT')", "may not execute ABORT"),
        ("BEGIN", "sql('BEGIN')", "may not execute BEGIN"),
        ("START TRANSACTION", "sql('START TRANSACTION')", "may not execute START"),
        ("PREPARE TRANSACTION", "sql(\"PREPARE  TRANSACTION 'x'\")", "may not execute PREPARE TRANSACTION"),
        ("DISCARD ALL", "sql('DISCARD ALL')", "may not execute DISCARD"),
        ("LISTEN", "sql('LISTEN news')", "may not execute LISTEN"),
        ("behind a comment", "sql('-- a word first\\ncommit')", "may not execute COMMIT"),
        ("behind nested comments", "sql('/* a /* b */ c */ commit')", "may not execute COMMIT"),
        ("behind a semicolon", "sql(' ; ;commit')", "may not execute COMMIT"),
        ("last of several", "sql('select 1; commit')", "may not execute COMMIT"),
        ("in the middle", "sql('select 1; commit; select 2')", "may not execute COMMIT"),
        ("behind a quoted semicolon", "sql(\"select ';'; commit\")", "may not execute COMMIT"),
        ("as text()", "c.execute(text('commit'))", "may not execute COMMIT"),
        ("after begin_nested", "with c.begin_nested():\n    sql('commit')", "may not execute COMMIT"),
    ),
    # Swallowed or hidden, and found out afterwards.
    *refused(
        ("swallowed refusal of commit", "try: c.commit()\nexcept Exception: pass", ENDED),
        ("swallowed refusal of rollback", "try: c.rollback()\nexcept Exception: pass", ENDED),
        ("swallowed refusal of close", "try: c.close()\nexcept Exception: pass", ""),
        (
            "swallowed SQL error",
            "try: sql('select 1/0')\nexcept Exception: pass",
            "left the transaction aborted",
        ),
        (
            "swallowed error of the raw driver",
            "try: raw.execute('select 1/0')\nexcept Exception: pass",
            "aborted",
        ),
        ("open savepoint", "c.begin_nested()", "left a savepoint open"),
        ("raw rollback", "raw.rollback()", ENDED),
        ("raw ROLLBACK", "raw.execute('rollback')", ENDED),
        ("raw rollback and begin", "raw.execute('rollback; begin')", RESET),
        ("rollback in a string of EXECUTE", "raw.execute('rollback and chain')", RESET),
        ("invalidated", "c.invalidate()", CLOSED),
        ("raw close", "raw.close()", CLOSED),
        ("close of the pooled connection", "c.connection.close()", ""),
        ("RESET ALL", "sql('reset all')", RESET),
        ("marker taken away", "sql('reset upgrader.step')", RESET),
        ("marker changed", "sql(\"set upgrader.step = 'mine'\")", RESET),
        ("read-only transaction", "sql('set transaction read only')", "read-only transaction"),
        ("deferred constraint", "sql('insert into link values (1)')", "violates foreign key constraint"),
        ("SystemExit", "raise SystemExit(0)", "SystemExit"),
        ("KeyboardInterrupt", "raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("GeneratorExit", "raise GeneratorExit('bye')", "GeneratorExit: bye"),
        ("error without words", "raise ValueError", "ValueError: (no message)"),
    ),
    Case("raw commit", "raw.commit()", ENDED, leaks=True),
    Case("raw COMMIT", "raw.execute('commit')", ENDED, leaks=True),
    Case("raw commit and begin", "raw.execute('commit; begin')", RESET, leaks=True),
    Case("raw commit and chain", "raw.execute('commit and chain')", RESET, leaks=True),
    Case("COMMIT in a procedure", "sql('call public.committing()')", "invalid transaction termination"),
    Case("COMMIT in a DO block", "sql('do $$ begin commit; end $$')", "invalid transaction termination"),
    # Left behind.
    *refused(
        (
            "temporary table",
            "sql('create temp table left_over (id int)')",
            "left the temporary table left_over",
        ),
        (
            "temporary table as select",
            "sql('select 1 as id into temp left_over')",
            "temporary table left_over",
        ),
        ("temporary view", "sql('create temp view left_view as select 1')", "temporary table left_view"),
        ("temporary sequence", "sql('create temp sequence left_sequence')", "temporary table left_sequence"),
        (
            "ON COMMIT DELETE ROWS",
            "sql('create temp table t2 (id int) on commit delete rows')",
            "temporary table t2",
        ),
        ("session lock", "sql('select pg_advisory_lock(42)')", LEFT_LOCK),
        ("negative session lock", "sql('select pg_advisory_lock(-42)')", LEFT_LOCK),
        ("session lock of two keys", "sql('select pg_advisory_lock(1, -2)')", LEFT_LOCK),
        ("shared session lock", "sql('select pg_advisory_lock_shared(42)')", LEFT_LOCK),
        ("shared session lock of two keys", "sql('select pg_advisory_lock_shared(-1, 2)')", LEFT_LOCK),
        ("tried session lock", "sql('select pg_try_advisory_lock(42)')", LEFT_LOCK),
        ("raw session lock", "raw.execute('select pg_advisory_lock(43)')", LEFT_LOCK),
        (
            "session lock beside a transaction lock",
            "sql('select pg_advisory_xact_lock(42)')\nsql('select pg_advisory_lock(42)')",
            LEFT_LOCK,
        ),
    ),
    # Fine.
    *allowed(
        ("nothing", "pass"),
        ("savepoint", "with c.begin_nested():\n    sql('select 1')"),
        ("savepoint rolled back", "s = c.begin_nested()\nsql('select 1')\ns.rollback()"),
        (
            "savepoint around an error",
            "try:\n    with c.begin_nested(): sql('select 1/0')\nexcept Exception: pass",
        ),
        ("savepoint in SQL", "sql('savepoint s')\nsql('rollback to s')\nsql('release s')"),
        ("savepoint in SQL left", "sql('savepoint s')"),
        ("ROLLBACK WORK TO", "sql('savepoint s')\nsql('rollback work to savepoint s')"),
        ("words in strings", "sql(\"select 'commit; rollback', $$ ; commit; $$\")"),
        ("words in comments", "sql('select 1 -- ; commit')\nsql('select 1 /* ; commit */')"),
        ("words in names", "sql('create table \"commit; begin\" (id int)')"),
        ("DO block", "sql('do $$ begin perform 1; end $$')"),
        ("PREPARE", "sql('prepare left_plan as select 1')"),
        ("raw statement", "raw.execute('select 1')"),
        ("transaction lock", "sql('select pg_advisory_xact_lock(42)')"),
        ("shared transaction lock", "sql('select pg_advisory_xact_lock_shared(1, 2)')"),
        (
            "session lock given back",
            "sql('select pg_advisory_lock(42)')\nsql('select pg_advisory_unlock(42)')",
        ),
        ("temporary table ON COMMIT DROP", "sql('create temp table t3 (id int)\\n on  commit\\n drop')"),
        ("temporary table dropped", "sql('create temp table t4 (id int)')\nsql('drop table t4')"),
        ("search_path", "sql('set search_path = pg_catalog')"),
        ("local search_path", "sql('set local search_path = pg_catalog')"),
        ("setting", "sql(\"set work_mem = '64kB'\")"),
        ("setting of one's own", "sql(\"set mine.key = 'value'\")"),
        ("set_config", "sql(\"select set_config('work_mem', '64kB', false)\")"),
        ("role", "sql('set role pg_monitor')"),
        ("session authorization", "sql('set session authorization pg_monitor')"),
        ("local role", "sql('set local role pg_monitor')"),
        ("read-only default", "sql('set default_transaction_read_only = on')"),
        ("time zone", "sql(\"set time zone 'Asia/Tokyo'\")"),
        ("statement timeout", "sql(\"set statement_timeout = '1min'\")"),
        ("deferred constraints", "sql('set constraints all deferred')"),
        ("immediate constraints", "sql('set constraints all immediate')"),
        ("sequence", "sql('create sequence counter')\nsql(\"select nextval('counter')\")"),
        ("cursor", "sql('declare left_cursor cursor for select 1')"),
        ("cursor WITH HOLD", "sql('declare held_cursor cursor with hold for select 1')"),
        ("NOTIFY", "sql(\"notify news, 'x'\")"),
        ("hidden LISTEN", "sql(\"do $$ begin execute 'listen hidden'; end $$\")"),
        (
            "open result",
            "global kept\nkept = c.execution_options().exec_driver_sql('select generate_series(1, 9)')",
        ),
        ("detached", "c.detach()"),
    ),
    Case("the last one", "pass"),
]

AUTOCOMMIT = [
    *refused(
        ("commit method", "c.commit()", "may not call commit()"),
        ("close method", "c.close()", "may not call rollback() or close()"),
        ("BEGIN", "sql('BEGIN')", "may not execute BEGIN"),
        ("raw transaction left open", "raw.execute('begin')", "left a transaction open"),
        (
            "raw transaction aborted",
            "raw.execute('begin')\ntry: raw.execute('select 1/0')\nexcept Exception: pass",
            "open",
        ),
        ("raw close", "raw.close()", CLOSED),
        ("invalidated", "c.invalidate()", CLOSED),
        (
            "temporary table",
            "sql('create temp table left_over (id int)')",
            "left the temporary table left_over",
        ),
        ("session lock", "sql('select pg_advisory_lock(42)')", LEFT_LOCK),
        ("hidden LISTEN", "raw.execute('listen news')", "left a LISTEN on news"),
        ("SystemExit", "raise SystemExit(0)", "SystemExit"),
    ),
    *allowed(
        ("nothing", "pass"),
        ("swallowed SQL error", "try: sql('select 1/0')\nexcept Exception: pass"),
        ("raw transaction", "raw.execute('begin')\nraw.execute('commit')"),
        ("search_path", "sql('set search_path = pg_catalog')"),
        ("setting", "sql(\"set work_mem = '64kB'\")"),
        ("role", "sql('set role pg_monitor')"),
        ("reset", "sql('reset all')"),
        ("plan", "sql('prepare left_plan as select 1')"),
        ("cursor WITH HOLD", "sql('declare held_cursor cursor with hold for select 1')"),
        ("sequence", "sql('create sequence counter')\nsql(\"select nextval('counter')\")"),
    ),
    Case("the last one", "pass"),
]

# Looks whether the case before has left anything, writes a row, then does what the case does.
MODULE = '''
import re

from sqlalchemy import text
from upgrader import workspace_command

BODIES = {bodies!r}
CLEAN = """
select array_remove(array[
    case when replace(current_setting('search_path'), '"', '') <> '{{schema}}, public'
        then 'search_path ' || current_setting('search_path') end,
    case when current_user <> session_user or current_user <> '{user}' then 'role ' || current_user end,
    case when current_setting('work_mem') = '64kB' then 'work_mem' end,
    case when coalesce(current_setting('mine.key', true), '') <> '' then 'mine.key' end,
    case when current_setting('TimeZone') = 'Asia/Tokyo' then 'time zone' end,
    case when current_setting('statement_timeout') <> '0' then 'statement_timeout' end,
    case when current_setting('default_transaction_read_only') <> 'off' then 'read-only' end,
    case when exists (select from pg_listening_channels()) then 'listening' end,
    case when exists (select from pg_class where relnamespace = pg_my_temp_schema()) then 'temporary table' end,
    case when exists (select from pg_prepared_statements) then 'prepared statement' end,
    case when exists (select from pg_cursors where name <> '') then 'cursor' end,
    case when (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) <> 2
        then 'advisory lock' end  -- beside the fence and the workspace's own
], null)
"""

@workspace_command("1.0.0", 1, transactional={transactional})
class DoIt:
    def run_on_workspace(self, ctx):
        c = ctx.connection
        found = c.exec_driver_sql(CLEAN.replace("{{schema}}", ctx.workspace.schema)).scalar()
        if found:
            raise RuntimeError(f"inherited: {{found}}")
        try:
            with c.connection.driver_connection.transaction():
                c.connection.driver_connection.execute("select lastval()")
        except Exception:
            pass
        else:
            raise RuntimeError("inherited: lastval()")
        c.exec_driver_sql(f"insert into {{ctx.workspace.schema}}.note values ('was here')")
        raw = c.connection.driver_connection
        exec(BODIES[ctx.workspace.id], {{"c": c, "raw": raw, "sql": c.exec_driver_sql, "text": text}})
'''


@dataclass(frozen=True)
class Outcome:
    """What became of the cases of one run."""

    report: RunReport
    status: dict[str, str]
    error: dict[str, str | None]
    notes: dict[str, int]


def run_cases(folder: Path, server: PostgresServer, cases: list[Case], *, transactional: bool) -> Outcome:
    with server.database() as url:
        project = Project.create(folder, url)
        ids = [f"{number:03}" for number in range(len(cases))]
        project.create_workspaces(*ids)
        with project.connect() as connection:
            connection.execute("create procedure public.committing() language plpgsql as 'begin commit; end'")
            connection.execute("create table public.target (id int primary key)")
            connection.execute(
                "create table public.link (id int references public.target deferrable initially deferred)"
            )
            for id_ in ids:
                connection.execute(f'create table "ws_{id_}".note (what text)'.encode())
            user = connection.info.user
        bodies = {id_: case.body for id_, case in zip(ids, cases, strict=True)}
        text = MODULE.format(bodies=bodies, transactional=transactional, user=user)
        project.write("commands/v1_0_0/1_do_it.py", textwrap.dedent(text))

        report = project.api().upgrade(UpgradeOptions())

        rows = project.query(
            "select workspace_id, status, error_message from upgrader.history where not is_initial"
        )
        names = {id_: case.name for id_, case in zip(ids, cases, strict=True)}
        notes = {names[id_]: project.query(f'select count(*) from "ws_{id_}".note')[0][0] for id_ in ids}
    return Outcome(
        report,
        {names[id_]: status for id_, status, _ in rows},
        {names[id_]: error for id_, _, error in rows},
        notes,
    )


def assert_outcome(outcome: Outcome, case: Case, *, notes_of_failed: int) -> None:
    error = outcome.error.get(case.name)
    if case.error is None:
        assert (outcome.status.get(case.name), error) == ("completed", None)
    else:
        assert outcome.status.get(case.name) == "failed"
        assert error is not None
        assert case.error in error
        assert "inherited" not in error
    is_kept = case.error is None or case.leaks or notes_of_failed
    assert outcome.notes[case.name] == (1 if is_kept else 0)


def by_name(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def transactional(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Outcome:
    return run_cases(tmp_path_factory.mktemp("guard"), server, TRANSACTIONAL, transactional=True)


class TestTransactional:
    @pytest.mark.parametrize("case", TRANSACTIONAL, ids=by_name)
    def test_case(self, transactional: Outcome, case: Case):
        """A case fails or succeeds as it should, inherits nothing, and a failed one leaves nothing."""
        assert_outcome(transactional, case, notes_of_failed=0)

    def test_run_went_on(self, transactional: Outcome):
        """No command, whatever it did, ended the run or kept others from running."""
        assert transactional.report.error is None
        failed = [case for case in TRANSACTIONAL if case.error is not None]
        assert len(transactional.report.failures) == len(failed)
        assert len(transactional.status) == len(TRANSACTIONAL)


@pytest.fixture(scope="module")
def autocommit(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Outcome:
    return run_cases(tmp_path_factory.mktemp("guard"), server, AUTOCOMMIT, transactional=False)


class TestAutocommit:
    @pytest.mark.parametrize("case", AUTOCOMMIT, ids=by_name)
    def test_case(self, autocommit: Outcome, case: Case):
        """A case fails or succeeds as it should and inherits nothing; what it did before is there."""
        assert_outcome(autocommit, case, notes_of_failed=1)

    def test_run_went_on(self, autocommit: Outcome):
        """No command, whatever it did, ended the run or kept others from running."""
        assert autocommit.report.error is None
        assert len(autocommit.status) == len(AUTOCOMMIT)


class TestErrorsAreTold:
    def test_authors_line_is_named(self, project: Project):
        """The message of a refusal names the line of the command that did it, and the way out."""
        project.fast("1.0.0", 1, "Commits", "connection.commit()")

        (failure,) = project.api().upgrade(UpgradeOptions()).failures

        assert failure.error is not None
        first, *_, hint = failure.error.splitlines()
        assert first == "GuardError: a command may not call commit() on its connection"
        assert "1_commits.py:9 in up: connection.commit()" in failure.error
        assert hint.startswith("hint: let the runner end the transaction; begin_nested() gives a savepoint")

    def test_data_migration_is_guarded(self, project: Project):
        """The transactions of a data migration are guarded alike; what it committed before stays."""
        project.slow(
            "1.0.0",
            1,
            "Migrates",
            migrate="""
                with ctx.transaction() as c:
                    c.execute(text("create table kept (id int)"))
                with ctx.transaction() as c:
                    c.execute(text("create table lost (id int)"))
                    c.commit()
            """,
        )

        (failure,) = project.api().upgrade(UpgradeOptions(include_slow=True)).failures

        assert "may not call commit()" in str(failure.error)
        assert project.query("select to_regclass('kept')::text, to_regclass('lost')::text") == [
            ("kept", None)
        ]
