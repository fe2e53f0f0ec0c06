"""Proxies that pool: what takes sessions apart is found, what leaves them whole passes."""

import psycopg
import pytest

from tests.support.pgbouncer import PROGRAM, pgbouncer
from tests.support.pooler import pooling
from tests.support.project import Project
from upgrader.database.connect import Connector
from upgrader.errors import DatabaseUnavailableError, PreflightError
from upgrader.model import PreflightCheck, PreflightLevel
from upgrader.preflight.pooling import Pooling, ProxyKind, look_for_proxy
from upgrader.runner.options import UpgradeOptions

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed on this machine")
# "ignore_startup_parameters" without "options" is the default: the connection itself is refused then.
LENIENT = {"ignore_startup_parameters": "extra_float_digits,options"}


def looked(url: str) -> Pooling:
    connector = Connector(url)
    with connector.connect() as driver:
        return look_for_proxy(driver, connector)


def test_direct_connection_is_seen_without_a_second_one(database_url: str):
    """By the number of the server process alone."""
    assert looked(database_url) == Pooling(ProxyKind.NONE)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_transactions_that_are_pooled_are_found(database_url: str, size: int):
    """Whatever the size of the pool: an idle one always gives the connection that was used last."""
    with pooling(database_url, size=size) as pooler:
        assert looked(pooler.url).kind is ProxyKind.TRANSACTIONS


def test_sessions_that_are_kept_whole_pass(database_url: str):
    """A note says that something stands in between; settings that got lost are found, too."""
    with pooling(database_url, size=3, by_session=True) as pooler:
        assert looked(pooler.url) == Pooling(ProxyKind.SESSIONS, takes_settings=False)


def test_refused_start_up_parameter_says_pooler_and_direct_url(database_url: str):
    """What PgBouncer says by default."""
    with (
        pooling(database_url, takes_options=False) as pooler,
        pytest.raises(DatabaseUnavailableError) as caught,
    ):
        looked(pooler.url)
    assert "unsupported startup parameter" in caught.value.message
    assert "pooler" in str(caught.value.hint)
    assert "direct URL" in str(caught.value.hint)


def test_upgrade_through_a_transaction_pooler_leaves_nothing(project: Project):
    """Refused before the run lock: no history, no lock in the pooler's session."""
    project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
    with pooling(project.database_url) as pooler:
        with pytest.raises(PreflightError) as caught:
            project.api(database_url=pooler.url).upgrade(UpgradeOptions())
        (finding,) = caught.value.findings
        assert (finding.name, finding.level) == (PreflightCheck.POOLING_PROXY, PreflightLevel.REFUSE)
        assert project.query(
            "select count(*) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        ) == [(0,)]
    assert "direct URL" in str(caught.value.hint)
    assert project.query("select to_regnamespace('upgrader') is null") == [(True,)]


@pytest.mark.parametrize(
    "verb", [("baseline", "1.0.0"), ("workspace", "enroll", "a"), ("upgrade",), ("preflight",)]
)
def test_every_writing_verb_refuses_a_transaction_pooler(project: Project, verb: tuple[str, ...]):
    """Exit 2 with the way out."""
    project.fast("1.0.0", 1, "AddThing")
    with pooling(project.database_url) as pooler:
        result = project.run_cli("--database-url", pooler.url, *verb)
    assert result.returncode == 2, result.stderr
    assert "error: " in result.stderr
    assert "pools by transaction" in result.stderr + result.stdout
    assert "direct URL" in result.stderr + result.stdout


def test_reading_verbs_work_through_a_transaction_pooler(project: Project):
    """They need no session."""
    project.fast("1.0.0", 1, "AddThing")
    assert project.run_cli("upgrade").returncode == 0
    with pooling(project.database_url, size=2) as pooler:
        for verb in ("plan", "status", "history"):
            result = project.run_cli("--database-url", pooler.url, verb)
            assert result.returncode == 0, result.stderr


def test_ignored_check_lets_a_run_through_a_session_pooler_in_silence(project: Project):
    """`[preflight] ignore` is for who knows better."""
    project.fast("1.0.0", 1, "AddThing")
    with pooling(project.database_url, size=4, by_session=True) as pooler:
        told = project.run_cli("--database-url", pooler.url, "upgrade")
        assert told.returncode == 0, told.stderr
        assert "leaves out the settings" in told.stderr
        project.configure(preflight={"ignore": ["pooling-proxy"]})
        silent = project.run_cli("--database-url", pooler.url, "upgrade")
    assert silent.returncode == 0
    assert "warning" not in silent.stderr


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize(
    "pool", [{}, {"default_pool_size": "1"}, {"min_pool_size": "3", "server_round_robin": "1"}], ids=str
)
def test_pgbouncer_that_takes_sessions_apart_is_found(database_url: str, mode: str, pool: dict[str, str]):
    """With one server connection, with many, with those given out in turn."""
    with pgbouncer(database_url, pool_mode=mode, **LENIENT, **pool) as url:
        assert looked(url).kind is ProxyKind.TRANSACTIONS


@needs_pgbouncer
def test_pgbouncer_that_is_busy_is_found(database_url: str):
    """Other clients hold and release connections meanwhile."""
    with pgbouncer(database_url, pool_mode="transaction", **LENIENT) as url:
        others = [psycopg.connect(url) for _ in range(4)]
        for other in others:
            other.execute("select 1")
        for other in others[::2]:
            other.commit()
        assert looked(url).kind is ProxyKind.TRANSACTIONS
        for other in others:
            other.close()


@needs_pgbouncer
def test_pgbouncer_by_session_passes_and_upgrades(project: Project):
    """With a note in the preflight, and a warning for the settings that it leaves out."""
    project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
    with pgbouncer(project.database_url, pool_mode="session", **LENIENT) as url:
        assert looked(url).kind is ProxyKind.SESSIONS
        result = project.run_cli("--database-url", url, "upgrade")
    assert result.returncode == 0, result.stderr
    assert project.query("select count(*) from thing") == [(0,)]


@needs_pgbouncer
@pytest.mark.parametrize("more", [{}, {"query_wait_timeout": "1"}], ids=["no answer", "a refusal"])
def test_pgbouncer_with_one_session_to_give_is_found(
    database_url: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """Whether it lets the second one wait for two minutes, or says that it has none."""
    monkeypatch.setattr("upgrader.preflight.pooling._ANSWER_SECONDS", 3.0 if more else 0.5)
    with pgbouncer(database_url, pool_mode="session", default_pool_size="1", **LENIENT, **more) as url:
        assert looked(url).kind is ProxyKind.SESSIONS_ONE


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_pgbouncer_that_refuses_start_up_parameters(project: Project, mode: str):
    """Its default: the connection fails, with the same hint."""
    with pgbouncer(project.database_url, pool_mode=mode) as url:
        result = project.run_cli("--database-url", url, "upgrade")
    assert result.returncode == 2
    assert "unsupported startup parameter" in result.stderr
    assert "direct URL" in result.stderr
