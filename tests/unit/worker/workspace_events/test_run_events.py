"""What is told of a run, and that it never stands in its way."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from upgrader import events
from upgrader.model import Workspace
from upgrader.version import ReleaseVersion
from upgrader.worker import WorkspaceEventBatch, WorkspaceEventEmitter
from upgrader.worker.workspace_events.run_events import RunEvents, RunNarrator

VERSION = ReleaseVersion.parse("1.2.0")
STARTED = events.RunStarted("run-1", "1.2.0", dry_run=False, database="db")
ENTERED = events.VersionStarted(VERSION, 1, 2)


def _workspace(result: str, error: str | None = None) -> events.WorkspaceFinished:
    workspace = Workspace(id="acme", schema="ws_acme", display_name="Acme", status="ACTIVE")
    return events.WorkspaceFinished(VERSION, workspace, 1, 2, result, 0.5, error)


def _names(*happened: events.Event) -> list[tuple[str, str | None]]:
    narrator = RunNarrator()
    return [(told.name, told.workspace_id) for event in happened for told in narrator.tell(event)]


def test_a_run_from_beginning_to_end() -> None:
    """It is told that it began, which workspaces are through, which version is, and what became of it."""
    assert _names(
        STARTED,
        events.Notice("something"),
        ENTERED,
        _workspace("done"),
        _workspace("failed", "boom"),
        events.SegmentFinished(VERSION, 1, 1, 0, 2.0),
        events.RunFinished("run-1", "failed", {"completed": 3}),
    ) == [
        ("upgrade.started", None),
        ("workspace.upgraded", "acme"),
        ("workspace.upgrade_failed", "acme"),
        ("upgrade.version_completed", None),
        ("upgrade.failed", None),
    ]


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ("done", "workspace.upgraded"),
        ("failed", "workspace.upgrade_failed"),
        ("skipped", "workspace.upgrade_skipped"),
        ("interrupted", "workspace.upgrade_interrupted"),
        ("left-out", "workspace.left_out"),
    ],
)
def test_what_becomes_of_a_workspace(result: str, name: str) -> None:
    """Each end has a name of its own."""
    assert _names(STARTED, ENTERED, _workspace(result))[-1] == (name, "acme")


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        ("done", "upgrade.completed"),
        ("failed", "upgrade.failed"),
        ("refused", "upgrade.refused"),
        ("stopped-at-barrier", "upgrade.stopped_at_barrier"),
        ("interrupted", "upgrade.interrupted"),
    ],
)
def test_what_becomes_of_a_run(outcome: str, name: str) -> None:
    """Each outcome has a name of its own."""
    assert _names(STARTED, ENTERED, events.RunFinished("run-1", outcome)) == [
        ("upgrade.started", None),
        (name, None),
    ]


def test_a_run_with_nothing_to_do() -> None:
    """It has a beginning and an end, too."""
    assert _names(STARTED, events.FirstUpgrade(1, 1), events.RunFinished("run-1", "done")) == [
        ("upgrade.started", None),
        ("upgrade.completed", None),
    ]


def test_a_run_that_is_refused_before_anything_ran() -> None:
    """It never began; neither did one that waits for its lock."""
    happened = (events.Waiting("run-lock", "pid 7", 1.0), events.FirstUpgrade(1, 1), events.Notice("no"))
    assert _names(STARTED, *happened) == []
    assert _names(STARTED, *happened, events.RunFinished("run-1", "refused")) == []


def test_a_dry_run() -> None:
    """Nothing happened, nothing is told."""
    dry = events.RunStarted("run-1", "1.2.0", dry_run=True, database="db")
    assert _names(dry, ENTERED, _workspace("done"), events.RunFinished("run-1", "done")) == []


def test_the_content() -> None:
    """Plain JSON, with the ids of run and version."""
    narrator = RunNarrator()
    narrator.tell(STARTED)
    _, told = narrator.tell(_workspace("failed", "boom"))
    assert told.content == {
        "run_id": "run-1",
        "app_version": "1.2.0",
        "version": "1.2.0",
        "index": 1,
        "total": 2,
        "seconds": 0.5,
        "error": "boom",
    }


def test_handlers_never_hold_the_run_up() -> None:
    """They run in a thread of their own; leaving the block waits for them."""
    may_go_on, names = threading.Event(), []

    def slow(batch: WorkspaceEventBatch[Any]) -> None:
        may_go_on.wait(30)
        names.append(batch.name)

    emitter = WorkspaceEventEmitter()
    emitter.on("workspace.*", slow)
    with RunEvents(emitter) as sink:
        for event in (STARTED, ENTERED, _workspace("done"), _workspace("done")):
            sink(event)
        assert names == []
        may_go_on.set()
    assert names == ["workspace.upgraded", "workspace.upgraded"]


def test_a_handler_that_hangs_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """The run ends all the same, and it is said that something was not told."""
    end = threading.Event()
    emitter = WorkspaceEventEmitter()
    emitter.on("**", lambda _: end.wait(30), name="hangs")
    with RunEvents(emitter, closing_seconds=0.05) as sink:
        sink(STARTED)
        sink(ENTERED)
    end.set()
    assert "were not through 0.05 s after the run" in caplog.text


def test_what_goes_wrong_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that fails, and a transaction that cannot be begun."""
    told: list[str] = []
    emitter = WorkspaceEventEmitter()
    emitter.on("upgrade.started", lambda batch, connection: None, in_transaction=True, name="inside")
    emitter.on("workspace.*", lambda batch: 1 / 0, name="divides")
    emitter.on("**", lambda batch: told.append(batch.name), name="others")
    with RunEvents(emitter) as sink:
        sink(STARTED)
        sink(ENTERED)
    with RunEvents(emitter) as sink:
        emitter.unsubscribe(emitter.event_subscriptions()[0])
        sink(STARTED)
        sink(ENTERED)
        sink(_workspace("done"))
    assert "1 workspace events of this run could not be handed over: inside is called" in caplog.text
    assert "the handler divides failed on workspace.upgraded" in caplog.text
    assert told == ["upgrade.started", "workspace.upgraded"]


def test_secrets_are_taken_out() -> None:
    """Errors of commands may hold some."""
    told: list[Any] = []
    emitter = WorkspaceEventEmitter()
    emitter.on("workspace.*", lambda batch: told.append(batch.events[0]["error"]), name="notes")
    with RunEvents(emitter, redact=lambda text: text.replace("hush", "***")) as sink:
        sink(STARTED)
        sink(_workspace("failed", "password is hush"))
    assert told == ["password is ***"]
