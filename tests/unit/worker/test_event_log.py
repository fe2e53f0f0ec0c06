"""What happens in a run, as log records."""

from __future__ import annotations

import logging

import pytest

from upgrader import events
from upgrader.command import CommandKind
from upgrader.model import AttemptStatus, Scope, Step, Workspace
from upgrader.version import ReleaseVersion
from upgrader.worker.event_log import EventLog
from upgrader.worker.logs import fields_of

VERSION = ReleaseVersion.parse("1.2.0")
STEP = Step("1.2.0_AddNote_5", CommandKind.WORKSPACE, VERSION, 5, "AddNote")
ACME = Scope("acme")


@pytest.fixture(autouse=True)
def _every_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def _logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, object]]]:
    return [(one.levelname, one.getMessage(), fields_of(one)) for one in caplog.records]


def test_each_record_has_the_ids(caplog: pytest.LogCaptureFixture) -> None:
    """Of the run from its first event on, of step and workspace where an event is about one."""
    log = EventLog()
    log(events.RunStarted("r1", "1.2.0", False, "app@db/app"))
    log(events.StepFinished(STEP, ACME, 2, AttemptStatus.FAILED, 0.25, "no luck"))
    log(events.WorkspaceFinished(VERSION, Workspace("acme", "ws_acme"), 1, 2, "failed", 0.5, "no luck"))
    log(events.Notice("mind the gap", "warning"))
    started, step, workspace, notice = _logged(caplog)
    assert started[2] == {
        "run_id": "r1",
        "event": "run-started",
        "app_version": "1.2.0",
        "dry_run": False,
        "database": "app@db/app",
    }
    assert step[:2] == ("ERROR", "1.2.0_AddNote_5 on workspace acme: failed")
    assert step[2] == {
        "run_id": "r1",
        "event": "step-finished",
        "step": "1.2.0_AddNote_5",
        "version": "1.2.0",
        "workspace_id": "acme",
        "attempt": 2,
        "status": "failed",
        "seconds": 0.25,
        "error": "no luck",
    }
    assert (workspace[0], workspace[2]["workspace_id"], workspace[2]["result"]) == ("ERROR", "acme", "failed")
    assert notice[:2] == ("WARNING", "mind the gap")


def test_statements_are_for_those_who_ask(caplog: pytest.LogCaptureFixture) -> None:
    """Verbose; with parameters only where those are asked for, too."""
    executed = events.StatementExecuted(
        ACME, "1.2.0_AddNote_5", "insert  into t\nvalues (%s)", ("hush",), 0.1, 1
    )
    EventLog()(executed)
    assert _logged(caplog) == []
    EventLog(is_verbose=True)(executed)
    EventLog(is_verbose=True, shows_parameters=True)(executed)
    plain, whole = _logged(caplog)
    assert plain[1] == "insert into t values (%s)"
    assert (plain[2]["step"], "parameters" in plain[2]) == ("1.2.0_AddNote_5", False)
    assert whole[2]["parameters"] == "('hush',)"


def test_what_is_sent_every_second_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Once in ten seconds for each backfill; its end always."""
    now = 0.0
    log = EventLog(clock=lambda: now)
    for second in range(25):
        now = float(second)
        for scope in (ACME, Scope("beta")):
            log(events.BackfillMoved(STEP, scope, "t", second, 100, second, 10))
    log(events.BackfillMoved(STEP, ACME, "t", 100, 100, 25, 10, is_finished=True))
    assert len(caplog.records) == 2 * 3 + 1
