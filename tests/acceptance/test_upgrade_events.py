"""`upgrader upgrade` tells handlers of workspace events in `[worker] modules` what it does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.project import Project

MODULE = """
import json
from pathlib import Path
from upgrader.worker import on_event

@on_event("**")
def note(batch):
    with Path("told.jsonl").open("a") as file:
        file.write(json.dumps([batch.name, batch.workspace_id, batch.events[0]]) + "\\n")
    print("noted", batch.name)
"""
DURABLE = """
from upgrader.worker import AuditTable, on_event

@on_event("workspace.*", durable=True)
def later(batch): ...

audit = AuditTable(patterns=["upgrade.*"])
"""


@pytest.fixture
def upgrade(project: Project) -> Project:
    """A project with a version of one fast step and one workspace step, which fails on globex."""
    project.create_workspaces("acme", "globex")
    project.fast("1.0.0", 1, "Make", "create table core.thing (id int)")
    project.workspace(
        "1.0.0", 2, "Fill", "if ctx.workspace.id == 'globex': raise ValueError('password=hush')"
    )
    project.configure(worker={"modules": ["subscribers"]})
    return project


def _told(project: Project) -> list[Any]:
    file = project.directory / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_an_upgrade_is_told(upgrade: Project) -> None:
    """Its beginning, its steps, each workspace, and its end; stdout stays the document's, secrets stay out."""
    upgrade.write("subscribers/note.py", MODULE)
    done = upgrade.run_cli("upgrade", "--json")
    assert done.returncode == 1
    told = _told(upgrade)
    assert [(name, workspace) for name, workspace, _ in told] == [
        ("upgrade.started", None),
        ("upgrade.step_completed", None),
        ("workspace.upgraded", "acme"),
        ("workspace.upgrade_failed", "globex"),
        ("upgrade.version_completed", None),
        ("upgrade.failed", None),
    ]
    document = json.loads(done.stdout)
    assert {content["run_id"] for *_, content in told} == {document["run_id"]}
    assert "noted upgrade.started" in done.stderr
    assert "hush" not in json.dumps(told)


def test_a_dry_run_is_not_told(upgrade: Project) -> None:
    """The modules are not even loaded."""
    upgrade.write("subscribers/note.py", MODULE)
    upgrade.run_cli("upgrade", "--dry-run")
    assert _told(upgrade) == []


def test_a_run_that_is_refused_is_not_told(upgrade: Project) -> None:
    """Nothing ran."""
    upgrade.write("subscribers/note.py", MODULE)
    assert upgrade.run_cli("upgrade", "-w", "nobody").returncode == 2
    assert _told(upgrade) == []


def test_a_module_that_does_not_load(upgrade: Project) -> None:
    """It is told with its place before anything runs: exit 2."""
    upgrade.write("subscribers/broken.py", "import nothing_of_that_name\n")
    done = upgrade.run_cli("upgrade")
    assert done.returncode == 2
    assert "broken.py:1" in done.stderr
    assert "nothing_of_that_name" in done.stderr
    assert upgrade.query("select to_regclass('core.thing'), to_regclass('upgrader.history')") == [
        (None, None)
    ]


def test_a_handler_that_cannot_be_used(upgrade: Project) -> None:
    """Exit 2 as well."""
    upgrade.write(
        "subscribers/bad.py",
        "from upgrader.worker import on_event\n\n@on_event('a.b')\nasync def handle(batch): ...\n",
    )
    done = upgrade.run_cli("upgrade")
    assert (done.returncode, "add durable=True" in done.stderr) == (2, True)
    assert upgrade.query("select to_regclass('core.thing')") == [(None,)]


def test_a_handler_that_fails_never_fails_the_run(upgrade: Project) -> None:
    """It is a warning of one line, and the exit code is that of the run."""
    upgrade.write(
        "subscribers/fails.py",
        "from upgrader.worker import on_event\n\n@on_event('upgrade.*')\ndef handle(batch): raise KeyError(7)\n",
    )
    done = upgrade.run_cli("upgrade", "-w", "acme")
    assert done.returncode == 0
    assert "warning: the handler handle failed on upgrade.started" in done.stderr
    assert "Traceback" not in done.stderr


def test_durable_handlers_and_the_audit_table(upgrade: Project) -> None:
    """Jobs wait for a worker, rows are there; tables are made where they were not."""
    upgrade.write("subscribers/durable.py", DURABLE)
    assert upgrade.run_cli("upgrade").returncode == 1
    jobs = upgrade.query(
        "select args->'payload'->>'handler', args->'payload'->'batch'->>'name',"
        " args->'payload'->'batch'->>'workspace_id' from upgrader_worker.procrastinate_jobs order by id"
    )
    assert jobs == [("later", "workspace.upgraded", "acme"), ("later", "workspace.upgrade_failed", "globex")]
    rows = upgrade.query("select name, event->>'outcome' from upgrader_worker.workspace_event order by id")
    assert rows[0] == ("upgrade.started", None)
    assert rows[-1] == ("upgrade.failed", "failed")


CUT = """
import time
from sqlalchemy import text

told = "select count(*) from upgrader_worker.workspace_event where name = 'upgrade.step_completed'"
idle = "application_name like 'upgrader/worker/%' and state = 'idle'"
for _ in range(1_000):
    with ctx.transaction() as connection:
        if connection.execute(text(told)).scalar() and connection.execute(
            text(f"select pg_terminate_backend(pid) from pg_stat_activity where {idle}")
        ).all():
            return
    time.sleep(0.02)
raise AssertionError("nothing was told, or by nobody")
"""


def test_a_connection_that_was_cut_between_two_events(upgrade: Project) -> None:
    """A step may take hours, and something on the way forgets idle connections: what comes then is told, too."""
    upgrade.slow("1.0.0", 3, "Cut", migrate=CUT)
    upgrade.write("subscribers/durable.py", DURABLE)
    done = upgrade.run_cli("upgrade", "--include-slow", "-w", "acme")
    assert done.returncode == 0, done.stderr
    rows = upgrade.query("select name, event->>'step' from upgrader_worker.workspace_event order by id")
    assert ("upgrade.step_completed", "1.0.0_Cut_3") in rows
    assert rows[-1] == ("upgrade.completed", None)
    assert "could not be handed over" not in done.stderr


def test_without_handlers_nothing_is_touched(upgrade: Project) -> None:
    """Modules with other jobs alone make no tables."""
    upgrade.write(
        "subscribers/jobs.py", "from upgrader.worker import scheduled_job\n\n@scheduled_job()\ndef j(): ...\n"
    )
    assert upgrade.run_cli("upgrade", "-w", "acme").returncode == 0
    assert upgrade.query("select to_regnamespace('upgrader_worker')") == [(None,)]
