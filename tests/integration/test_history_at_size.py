"""What the verbs read of a long history: little, through an index, and no more the longer it is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.bench.long_history import load_history
from tests.bench.stage import make_workspaces
from tests.support.project import Project
from tests.support.server import PostgresServer, wait_until
from upgrader.history.store import AttemptFilter

WORKSPACES, STEPS = 1000, 40
VERSION = "1.0.0"
MOST_ROWS = 1000
VERBS = [
    ("upgrade",),
    ("plan",),
    ("status",),
    ("status", "--json"),
    ("status", "-w", "77"),
    ("history",),
    ("history", "--step", "Step7"),
    ("history", "--step", "8", "--status", "completed"),
    ("history", "--step", "Step0", "--status", "failed"),
    ("history", "--step", "Nobody"),
    ("history", "-w", "100"),
    ("history", "-w", "100", "--step", "Step0"),
    ("history", "-w", "100", "--status", "failed"),
    ("history", "--instance"),
    ("history", "--status", "completed"),
    ("history", "--status", "failed"),
    ("history", "--status", "running"),
    ("history", "--status", "reverted"),
    ("why", "77"),
    ("why", "--step", "Step7"),
    ("workspace", "list"),
    ("check", "--select", "checksum-changed"),
]


@pytest.fixture(scope="module")
def long(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with many workspaces, everything completed on them."""
    with server.database() as url:
        project = Project.create(tmp_path_factory.mktemp("long"), url)
        make_workspaces(project, 0, with_schemas=False)
        for number in range(STEPS):
            project.workspace(VERSION, number + 1, f"Step{number}")
        project.configure(app_version=VERSION)
        assert project.run_cli("upgrade").returncode == 0
        load_history(project, WORKSPACES, version=VERSION)
        assert project.run_cli("upgrade").returncode == 0  # writes down how far everybody is
        yield project


def rows_read(project: Project) -> tuple[int, int]:
    """Give how many rows of the history were ever read, one after the other and through indexes."""
    with project.connect() as connection:
        others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        wait_until(lambda: connection.execute(others.encode()).fetchone() == (0,))
        row = connection.execute(
            "select seq_tup_read, idx_tup_fetch from pg_stat_user_tables"
            " where schemaname = 'upgrader' and relname = 'history'"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_verb_reads_little(long: Project, verb: tuple[str, ...]) -> None:
    """No verb goes through the history, and none reads of it what it does not show."""
    before = rows_read(long)

    done = long.run_cli(*verb)

    assert done.returncode == 0, done.stderr
    after = rows_read(long)
    assert after[0] == before[0], "it was read from its beginning to its end"
    assert after[1] - before[1] < MOST_ROWS


def test_history_is_cut_with_a_word(long: Project) -> None:
    """Of many attempts the newest are shown, and that there are more."""
    done = long.run_cli("history", "--limit", "3")

    assert "there are more than these 3 attempts" in done.stdout


def test_long_json_is_whole(long: Project) -> None:
    """A limit beyond a batch of the cursor gives so many, in order, and says whether there are more."""
    some, everything = (
        json.loads(long.run_cli("history", "--json", "--limit", limit).stdout)
        for limit in ("2500", "1000000")
    )

    ids = [one["id"] for one in everything["attempts"]]
    assert len(ids) > WORKSPACES * STEPS
    assert ids == sorted(ids, reverse=True)
    assert ([one["id"] for one in some["attempts"]], some["has_more"]) == (ids[:2500], True)
    assert everything["has_more"] is False


def test_status_of_many_failed_workspaces(long: Project) -> None:
    """A look at failures reads an attempt for each of them, not all that was ever tried there."""
    with long.connect() as connection:
        connection.execute(
            "insert into upgrader.history (name, kind, version, workspace_id, status, attempt,"
            " executed_by_version, checksum, error_message) select name, kind, version, workspace_id, 'failed',"
            " attempt + 1, '1', checksum, 'No: no' from upgrader.history where name like '%Step7_8'"
            " and workspace_id::integer <= 60"
        )
    before = rows_read(long)

    done = long.run_cli("status", "--json")

    document = json.loads(done.stdout)
    failed = [row["failed_step"] for row in document["workspaces"] if row["failed_step"]]
    assert [(one["attempt"], one["error"]) for one in failed] == [(2, "No: no")] * 60
    assert rows_read(long)[1] - before[1] < MOST_ROWS


def test_workspaces_are_cut_with_a_count(project: Project) -> None:
    """Of more than a thousand workspaces the first are shown and the rest are counted; --all shows them."""
    make_workspaces(project, 1003, with_schemas=False)

    cut, whole = project.run_cli("workspace", "list"), project.run_cli("workspace", "list", "--all")

    assert "3 workspaces more: --all shows them" in cut.stdout
    assert "Workspace 1003" not in cut.stdout
    assert "Workspace 1003" in whole.stdout


def test_cursor_is_closed_when_nobody_reads_on(long: Project) -> None:
    """Whoever takes one attempt and goes leaves no transaction open."""
    found = long.api().history(AttemptFilter())
    next(found)
    found.close()  # type: ignore[attr-defined]  # it is a generator

    with psycopg.connect(long.database_url) as connection:
        others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        wait_until(lambda: connection.execute(others.encode()).fetchone() == (0,))
