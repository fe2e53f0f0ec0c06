"""`check --scratch-url` that is interrupted leaves nothing on the server."""

from __future__ import annotations

import signal

import psycopg
import pytest

from tests.support.project import Project
from tests.support.server import PostgresServer, wait_until
from upgrader.check.scratch import PREFIX

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
