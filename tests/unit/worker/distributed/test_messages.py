"""What workers write for their coordinator is read as it was meant."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.builders import workspace_step
from upgrader.events import (
    AuthorLog,
    BackfillMoved,
    Event,
    Notice,
    SegmentStarted,
    StatementExecuted,
    StepProgress,
    StepRetried,
    StepStarted,
    Waiting,
)
from upgrader.model import AttemptStatus, Blocker, IndexProgress, LockWait, Scope
from upgrader.runner.result import StepResult
from upgrader.version import ReleaseVersion
from upgrader.worker.distributed.messages import (
    WorkspaceResult,
    decode_event,
    decode_result,
    encode_event,
    encode_result,
)
from upgrader.worker.distributed.outbox import Outbox

STEPS = [workspace_step("First"), workspace_step("Second", timestamp=2)]
BY_NAME = {step.name: step for step in STEPS}
BLOCKER = Blocker(4711, user="app", query="update t")


def test_results():
    """Attempts with all that a report says of them."""
    failed = StepResult(
        STEPS[1],
        Scope("a"),
        2,
        AttemptStatus.FAILED,
        0.5,
        3,
        "no: 'ä'",
        waited_seconds=0.25,
        paused_seconds=0.125,
        blockers=(BLOCKER,),
    )
    done = StepResult(STEPS[0], Scope("a"), 1, AttemptStatus.COMPLETED, 0.5)
    result = WorkspaceResult("a", "failed", 1.5, (done, failed), "no: 'ä'")
    assert decode_result(json.loads(json.dumps(encode_result(result))), BY_NAME) == result


WAIT = LockWait("AccessExclusiveLock", "t", 1.0, "now", True, (BLOCKER,))


@pytest.mark.parametrize(
    "event",
    [
        AuthorLog("hello", "INFO", Scope("a"), STEPS[0].name),
        BackfillMoved(STEPS[0], Scope("a"), "t", 5, None, 1, 10, waiting_for="somebody"),
        Notice("look", "warning"),
        StepProgress(STEPS[0], Scope("a"), 2.0, IndexProgress("scanning", 50.0), WAIT),
        StepRetried(STEPS[0], Scope("a"), 2, "deadlock", 0.5, (BLOCKER,), 0.25),
        Waiting("workspace-lock", "waiting for pid 1", 2.0),
        StatementExecuted(Scope("a"), STEPS[0].name, "select 1", None, 0.5, 1, file="x.py", line=3),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events(event: Event):
    """Those that somebody wants to see arrive as they were sent."""
    assert decode_event(json.loads(json.dumps(encode_event(event))), BY_NAME) == event


def test_values_of_parameters_stay_where_they_are():
    """They may be secret: a table is no place for them."""
    event = StatementExecuted(Scope("a"), STEPS[0].name, "select :x", {"x": "secret"}, 0.5, 1)
    body = encode_event(event)
    assert "secret" not in json.dumps(body)
    read = decode_event(body or {}, BY_NAME)
    assert isinstance(read, StatementExecuted)
    assert read.parameters is None


def test_what_results_tell_is_not_told_twice():
    """Nor what only the coordinator's own events say."""
    assert encode_event(StepStarted(STEPS[0], Scope("a"), 1)) is None
    assert encode_event(SegmentStarted(ReleaseVersion.parse("1.0.0"), 3)) is None


def test_an_outbox_keeps_the_order_and_hurries_with_failures():
    """Results, events and ends come in the order in which they were put in; a failure is not to wait."""
    outbox = Outbox()
    assert outbox.take() is None
    outbox.add_result(WorkspaceResult("a", "done", 0.1, ()))
    outbox.add_event(Notice("look"))
    assert not outbox.is_urgent.is_set()
    outbox.add_result(WorkspaceResult("b", "failed", 0.1, ()))
    assert outbox.is_urgent.is_set()
    outbox.add_end(3, "done")
    items = json.loads(outbox.take() or "")
    assert [item["say"] for item in items] == ["result", "event", "result", "end"]
    assert not outbox.is_urgent.is_set()
    assert outbox.take() is None


def test_an_outbox_is_not_filled_by_a_command_that_logs_without_end():
    """What a thousand lines do not say, more do not say either, but it is told; results are never left out."""
    outbox = Outbox()
    for number in range(5_000):
        outbox.add_event(Notice(str(number)))
    outbox.add_result(WorkspaceResult("a", "done", 0.1, ()))
    items = json.loads(outbox.take() or "")
    assert len(items) == 1_002
    assert items[-2]["say"] == "result"
    assert items[-1]["message"] == "a worker left out 4,000 lines: there were too many at a time"
    outbox.add_event(Notice("after it"))
    assert [item["message"] for item in json.loads(outbox.take() or "")] == ["after it"]
