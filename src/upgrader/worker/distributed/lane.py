"""One lane of a worker: takes the workspaces of a chunk, one after the other, through their steps."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from upgrader.errors import ConnectionLostError, NoConnectionError, RunSupersededError, UpgraderError
from upgrader.events import Event, StepFinished, StepStarted, WorkspaceFinished
from upgrader.history.run_lock import Holder
from upgrader.model import FailureLimit
from upgrader.runner.result import RunReport, StepResult
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import HardStop, StopToken
from upgrader.runner.workspace_walk import SegmentPart, SegmentParts, WorkspaceWalk
from upgrader.worker.distributed.chunks import Chunk
from upgrader.worker.distributed.messages import WorkspaceResult
from upgrader.worker.distributed.outbox import Outbox


@dataclass(frozen=True)
class LaneParts:
    """What the lanes of a worker have in common.

    Attributes:
        check: raises RunSupersededError where the worker has no part any more; costs nothing.
    """

    run_id: str
    outbox: Outbox
    stop: StopToken
    check: Callable[[], None]
    find_holders: Callable[[Collection[str]], Mapping[str, Holder]]
    limit: FailureLimit


class _ChunkReport(RunReport):
    """Keeps the attempts of the workspaces that are on their way."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id, "", "", dry_run=False, started_at=datetime.now(UTC))
        self.attempts: dict[str, list[StepResult]] = defaultdict(list)

    def add(self, result: StepResult) -> None:
        self.attempts[result.scope.workspace_id or ""].append(result)


class Lane:
    """One session, and what is in its hands.

    Attributes:
        steps: what it runs steps with.
        walk: through the chunk that it has; None while it has none.
        stop: set when it is to end, after the step that it has in hand.
    """

    def __init__(self, parts: LaneParts, steps: StepRunner) -> None:
        """Open nothing yet."""
        self._parts = parts
        self.steps = steps
        self.walk: WorkspaceWalk | None = None
        self.stop = threading.Event()

    def run(self, chunk: Chunk, emit: Callable[[Event], None]) -> bool:
        """Take a chunk to its end, and tell how it ended; False where the lane can do no more.

        Args:
            emit: is told of everything that is not a result.
        """
        outbox, report = self._parts.outbox, _ChunkReport(self._parts.run_id)
        how, told = "done", None
        try:
            self._walk(chunk, report, emit)
        except BaseException as error:  # its chunk is the coordinator's again, whatever it was
            how, told = _how(error), error
        finally:
            self.walk = None
        for id_, attempts in report.attempts.items():
            outbox.add_result(WorkspaceResult(id_, None, 0.0, tuple(attempts)))
        if told is None:
            outbox.add_end(chunk.number, how)
            return True
        text = told.message if isinstance(told, UpgraderError) else f"{type(told).__name__}: {told}"
        hint = told.hint if isinstance(told, UpgraderError) else "see the worker's log"
        outbox.add_end(chunk.number, how, self.steps.parts.redact(text), hint)
        return False

    def _walk(self, chunk: Chunk, report: _ChunkReport, emit: Callable[[Event], None]) -> None:
        parts = SegmentParts(
            report=report,
            emit=lambda event: self._hear(event, report, emit),
            stop=self._parts.stop,
            check_lock=self._parts.check,
            limit=self._parts.limit,
            find_holders=self._parts.find_holders,
        )
        resumed = {one.workspace.id for one in chunk.tasks if one.is_resumed}
        part = SegmentPart([one.place for one in chunk.tasks], chunk.total, resumed)
        tasks = [one.task for one in chunk.tasks]
        walk = WorkspaceWalk(parts, chunk.version, tasks, chunk.workspaces, chunk.progress, part=part)
        self.walk = walk
        while (turn := walk.next_turn(self.steps)) is not None:
            walk.run(turn, self.steps)

    def _hear(self, event: Event, report: _ChunkReport, emit: Callable[[Event], None]) -> None:
        if not isinstance(event, WorkspaceFinished):
            emit(event)
            return
        attempts = tuple(report.attempts.pop(event.workspace.id, ()))
        self._parts.outbox.add_result(
            WorkspaceResult(event.workspace.id, event.result, event.seconds, attempts, event.error)
        )


def hearing(outbox: Outbox) -> Callable[[Event], None]:
    """Give what takes the events of steps: most of them are told by results."""

    def emit(event: Event) -> None:
        match event:
            case StepStarted():
                outbox.note_begun(event.scope.workspace_id or "", event.step, event.attempt)
            case StepFinished():
                outbox.note_ended(event.scope.workspace_id or "")
            case _:
                outbox.add_event(event)

    return emit


def _how(error: BaseException) -> str:
    match error:
        case NoConnectionError():
            return "no-connection"
        case ConnectionLostError() | psycopg.OperationalError() | psycopg.InterfaceError():
            return "lost"
        case RunSupersededError():
            return "superseded"
        case HardStop():
            return "cancelled"
        case _:
            return "broken"
