"""A run that ended before its plan did is taken up where it was."""

import signal

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, attempts, is_executing
from tests.support.server import wait_until


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 s2(with a gate) │ w3
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "First", "create table core.batch (number int)")
    project.slow(
        "1.0.0",
        2,
        "Slow",
        "create table core.slow_done ()",
        migrate="""
        with ctx.transaction() as connection:
            connection.execute(text("insert into core.batch values (1)"))
        with ctx.transaction() as connection:
            connection.execute(text("select pg_sleep(300) where to_regclass('core.gate') is null"))
        """,
    )
    project.workspace("1.0.0", 3, "InWorkspace", "create table made ()")
    return project


@pytest.mark.parametrize("how", ["killed", "terminated"])
def test_run_that_died_in_a_data_migration(product: Project, how: str):
    """Its `running` row becomes `interrupted`, the step is attempt 2, nothing completed is repeated."""
    process = product.start_cli("upgrade", "--include-slow")
    wait_until(lambda: is_executing(product, "pg_sleep(300)"))
    assert attempts(product) == [("First", None, 1, "completed"), ("Slow", None, 1, "running")]
    if how == "killed":
        process.send_signal(signal.SIGKILL)
    else:
        product.query(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like 'upgrader/%%' and pid <> %s",
            0,
        )
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if how == "killed" else 1), stderr
    with product.connect() as connection:
        connection.execute("create table core.gate ()")

    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    assert attempts(product) == [
        ("First", None, 1, "completed"),
        ("Slow", None, 1, "interrupted"),
        ("Slow", None, 2, "completed"),
        ("InWorkspace", "a", 1, "completed"),
        ("InWorkspace", "b", 1, "completed"),
    ]
    assert product.query("select count(*) from core.batch") == [(2,)]


def test_backend_of_a_killed_run_ends_by_itself(product: Project):
    """Within seconds: the server looks whether its client is still there."""
    process = product.start_cli("upgrade", "--include-slow")
    wait_until(lambda: is_executing(product, "pg_sleep(300)"))
    process.kill()
    process.communicate()
    wait_until(lambda: not is_executing(product, "pg_sleep(300)"), seconds=15)


def test_status_after_a_killed_run(product: Project):
    """What was running is not told as running for ever."""
    process = product.start_cli("upgrade", "--include-slow")
    wait_until(lambda: is_executing(product, "pg_sleep(300)"))
    running = product.run_cli("status")
    assert_code(running, 0)
    process.kill()
    process.communicate()
    wait_until(lambda: not is_executing(product, "pg_sleep(300)"), seconds=15)
    assert_code(product.run_cli("status", "--exit-code"), 5)
