"""`check --scratch-url` that is interrupted leaves nothing on the server."""

from __future__ import annotations

import signal
import subprocess

import psycopg
import pytest

from tests.support.project import Project
from tests.support.server import PostgresServer, wait_until
from upgrader.check.leftover_databases import PREFIX

_WAITING = (
    "select datname from pg_stat_activity where datname like %s and query like %s and state = 'active'"
    " and pid <> pg_backend_pid()"
)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_scratch_databases_are_dropped(
    project: Project, server: PostgresServer, name: str, code: int
) -> None:
    """One signal ends a statement that would take an hour; the databases are gone by the exit."""
    word = f"interrupted by {name} in {server.run} {server.worker}"
    project.fast("1.0.0", 1, "Wait", f'connection.execute(text("select pg_sleep(3600) /* {word} */"))')
    scratch = project.database_url
    project.configure(database_url=None)
    process = project.start_cli("check", "--scratch-url", scratch)
    with psycopg.connect(server.url, autocommit=True) as admin:

        def waiting() -> list[tuple[str]]:
            return admin.execute(_WAITING, [f"{PREFIX}%", f"%{word}%"]).fetchall()

        wait_until(lambda: bool(waiting()))
        database = waiting()[0][0]
        process.send_signal(getattr(signal, name))
        _, told = process.communicate(timeout=60)
        assert process.returncode == code, told
        assert "Traceback" not in told
        assert admin.execute("select from pg_database where datname = %s", [database]).fetchall() == []


def test_what_a_killed_check_left_is_dropped_by_the_next(project: Project, server: PostgresServer) -> None:
    """Only what nobody holds: a check that is at work keeps its databases, those too in which nobody is."""
    word = f"at work in {server.run} {server.worker}"
    # A role of its own: the checks of other tests on this server drop nothing of it.
    scratch = server.make_role("SUPERUSER").url(project.database_url)
    project.configure(database_url=None)

    def sleeping(kind: str) -> tuple[subprocess.Popen[str], set[str]]:
        body = f'connection.execute(text("select pg_sleep(3600) /* {kind} {word} */"))'
        project.fast("1.0.0", 1, "Wait", body)
        process = project.start_cli("check", "--scratch-url", scratch)
        query = f"%{kind} {word}%"
        wait_until(lambda: bool(admin.execute(_WAITING, [f"{PREFIX}%", query]).fetchall()))
        ((database,),) = admin.execute(_WAITING, [f"{PREFIX}%", query]).fetchall()
        return process, {database.rpartition("_")[0], database}

    def there(names: set[str]) -> set[str]:
        rows = admin.execute("select datname from pg_database where datname = any(%s)", [list(names)])
        return {name for (name,) in rows}

    with psycopg.connect(server.url, autocommit=True) as admin:
        dead, left = sleeping("dead")
        alive, in_use = sleeping("alive")
        try:
            dead.kill()
            dead.communicate()
            nobody_in = "select from pg_stat_activity where datname = any(%s)"
            wait_until(lambda: not admin.execute(nobody_in, [list(left)]).fetchall())
            assert there(left) == left
            project.fast("1.0.0", 1, "Wait", "pass")
            told = project.run_cli("check", "--scratch-url", scratch).stderr
            assert there(left) == set()
            assert all(f"dropped the database {name}, which a check that was killed" in told for name in left)
            assert there(in_use) == in_use
            assert not any(name in told for name in in_use)
        finally:
            alive.send_signal(signal.SIGTERM)
            alive.communicate(timeout=60)
        assert there(in_use) == set()
