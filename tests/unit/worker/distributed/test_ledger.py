"""What workers tell becomes the report that lanes would have written."""

from __future__ import annotations

from tests.unit.cli.builders import workspace_step
from tests.unit.runner.lanes import VERSION, Stage
from upgrader.events import SegmentFinished, StepFinished, StepStarted, WorkspaceFinished
from upgrader.model import AttemptStatus, FailureLimit, Progress, Scope, Step, Workspace
from upgrader.runner.result import StepResult
from upgrader.sequence.plan import WorkspaceTask
from upgrader.worker.distributed.ledger import SegmentLedger
from upgrader.worker.distributed.messages import WorkspaceResult

STEPS = (workspace_step("First"), workspace_step("Second", timestamp=2))


def ledger(stage: Stage, ids: str = "abc") -> SegmentLedger:
    """Give one of workspaces with two steps each."""
    tasks = [WorkspaceTask(id_, STEPS) for id_ in ids]
    workspaces = {id_: Workspace(id_) for id_ in ids}
    return SegmentLedger(stage.parts, VERSION, tasks, workspaces, lambda _: Progress())


def attempt(
    id_: str, step: Step, status: AttemptStatus = AttemptStatus.COMPLETED, **rest: object
) -> StepResult:
    """Give what became of a step."""
    return StepResult(step, Scope(id_), 1, status, 0.5, **rest)  # type: ignore[arg-type]  # a test's own values


def done(id_: str) -> WorkspaceResult:
    """Give a workspace that is through."""
    return WorkspaceResult(id_, "done", 1.0, tuple(attempt(id_, step) for step in STEPS))


def failed(id_: str) -> WorkspaceResult:
    """Give a workspace whose first step failed."""
    ended = attempt(id_, STEPS[0], AttemptStatus.FAILED, error="no")
    return WorkspaceResult(id_, "failed", 1.0, (ended,), "no")


def test_a_workspace_that_is_through():
    """Counted once, told once, whoever tells it again."""
    stage = Stage()
    book = ledger(stage)
    assert book.add(done("b"))
    assert not book.add(done("b")), "its worker was given up, and another one found it done"
    assert list(book.due_ids) == ["a", "c"]
    told = [
        (type(event), event.step)
        for event in stage.sink.events
        if isinstance(event, StepStarted | StepFinished)
    ]
    assert told == [(kind, step) for step in STEPS for kind in (StepStarted, StepFinished)]
    (finished,) = stage.sink.of(WorkspaceFinished)
    assert (finished.index, finished.total, finished.result) == (2, 3, "done")
    assert stage.report.completed == 2


def test_failures_are_in_the_order_of_the_workspaces():
    """In whichever they came; what was not begun is left."""
    stage = Stage()
    book = ledger(stage)
    book.add(failed("c"))
    book.add(failed("a"))
    book.close()
    assert [one.scope.workspace_id for one in stage.report.failures] == ["a", "c"]
    assert book.not_through == {"a", "c"}
    assert stage.report.left == 2
    assert [event.failed for event in stage.sink.of(SegmentFinished)] == [2]


def test_a_limit_ends_it_while_something_is_left():
    """Not where the last one was the one too many."""
    stage = Stage(limit=FailureLimit(count=2))
    book = ledger(stage)
    book.add(failed("a"))
    assert not book.is_over_early
    book.add(failed("b"))
    assert book.is_over_early
    assert stage.report.too_many_failures is not None
    assert stage.report.too_many_failures.left_workspaces == 1


def test_what_a_worker_leaves_goes_on_where_it_was():
    """The steps that it told are behind it; of the others there may be attempts, and they are looked for."""
    stage = Stage()
    book = ledger(stage)
    assert book.add(WorkspaceResult("a", None, 1.0, (attempt("a", STEPS[0]),)))
    assert book.take_back(["a"]) == ["a"]
    again = book.chunk_task("a")
    assert (again.task.steps, again.is_resumed, again.place) == (STEPS[1:], True, 1)
    assert again.tried == {STEPS[1].name}
    assert not book.chunk_task("b").is_resumed
    book.add(WorkspaceResult("a", "done", 0.5, (attempt("a", STEPS[1]),)))
    assert stage.report.completed == 2
    (finished,) = stage.sink.of(WorkspaceFinished)
    assert finished.seconds == 1.5


def test_a_worker_that_ends_interrupts_nothing():
    """Its step that stopped half-way is no failure of a run that goes on; of one that stops it is."""
    ended = attempt("a", STEPS[0], AttemptStatus.INTERRUPTED, error="asked to stop")
    told = WorkspaceResult("a", "interrupted", 1.0, (ended,))
    stage = Stage()
    book = ledger(stage)
    book.add(told)
    assert not stage.report.failures
    assert "a" in book.due_ids

    stopping = Stage()
    book = ledger(stopping)
    stopping.stop.request("SIGTERM")
    book.add(told)
    book.close()
    assert [one.status for one in stopping.report.failures] == [AttemptStatus.INTERRUPTED]
    assert stopping.report.left == 4


def test_a_step_that_lasts_is_told_of_once():
    """When it is at work for a while, or when it is done."""
    stage = Stage()
    book = ledger(stage)
    book.note_begun("a", STEPS[0], 1)
    book.note_begun("a", STEPS[0], 1)
    book.add(done("a"))
    assert [event.step for event in stage.sink.of(StepStarted)] == list(STEPS)


def test_losses_are_counted_by_workspace():
    """So that one that ends every session comes to be known."""
    book = ledger(Stage())
    assert [book.note_loss("a"), book.note_loss("b"), book.note_loss("a")] == [1, 1, 2]
