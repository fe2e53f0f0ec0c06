"""What an upgrade does, as workspace events: a sink of a run's events.

    upgrade.started             database; not sent of a run that is refused before anything ran
    upgrade.step_<status>       an instance step was completed, failed, interrupted or skipped: step, kind, version,
                                attempt, seconds, error
    workspace.upgraded          through the steps of a version, of the workspace: version, index, total, seconds
    workspace.upgrade_failed, workspace.upgrade_skipped, workspace.upgrade_interrupted, workspace.left_out
                                the same, with error
    upgrade.version_completed   version, done, failed, skipped, left_out, seconds
    upgrade.completed, upgrade.failed, upgrade.interrupted, upgrade.stopped_at_barrier, upgrade.refused
                                outcome, completed

All of them have run_id and app_version. A dry run tells nothing: nothing happened.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from upgrader import events
from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.emitter import WorkspaceEventEmitter

_WORKSPACE_NAMES = {
    "done": "workspace.upgraded",
    "failed": "workspace.upgrade_failed",
    "skipped": "workspace.upgrade_skipped",
    "interrupted": "workspace.upgrade_interrupted",
    "left-out": "workspace.left_out",
}
_OUTCOME_NAMES = {
    "done": "upgrade.completed",
    "failed": "upgrade.failed",
    "interrupted": "upgrade.interrupted",
    "stopped-at-barrier": "upgrade.stopped_at_barrier",
    "refused": "upgrade.refused",
}
_SOMETHING_RUNS = (
    events.VersionStarted,
    events.StepStarted,
    events.SegmentStarted,
    events.StepFinished,
    events.WorkspaceFinished,
    events.SegmentFinished,
)
_CLOSING_SECONDS = 60.0
_MOST_AT_ONCE = 100

_log = logging.getLogger("upgrader.events")


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that a run did, as it is told.

    Attributes:
        name: of the workspace event.
        workspace_id: None: it is the instance's.
        content: plain JSON.
    """

    name: str
    workspace_id: str | None
    content: dict[str, Any]


class RunNarrator:
    """Says what of a run's events is told, and how. Pure."""

    def __init__(self) -> None:
        """Know of no run yet."""
        self._run: events.RunStarted | None = None
        self._is_told = False

    def tell(self, event: events.Event) -> list[RunEvent]:
        """Give what is told of an event; the first that shows that something runs is told after the beginning."""
        if isinstance(event, events.RunStarted):
            self._run = event
        if self._run is None or self._run.dry_run:
            return []
        begins = isinstance(event, _SOMETHING_RUNS) or (
            isinstance(event, events.RunFinished) and event.outcome != "refused"
        )
        if not (self._is_told or begins):
            return []
        told = self._of(event)
        if not self._is_told:
            self._is_told = True
            told.insert(0, self._made("upgrade.started", None, database=self._run.database))
        return told

    def _of(self, event: events.Event) -> list[RunEvent]:
        if isinstance(event, events.WorkspaceFinished):
            return [self._workspace(event)]
        if isinstance(event, events.StepFinished):
            return [] if event.scope.workspace_id is not None else [self._step(event)]
        if isinstance(event, events.SegmentFinished):
            return [self._segment(event)]
        if isinstance(event, events.RunFinished):
            name = _OUTCOME_NAMES.get(event.outcome, "upgrade.failed")
            return [self._made(name, None, outcome=event.outcome, completed=event.counts.get("completed", 0))]
        return []

    def _workspace(self, event: events.WorkspaceFinished) -> RunEvent:
        return self._made(
            _WORKSPACE_NAMES[event.result],
            event.workspace.id,
            version=str(event.version),
            index=event.index,
            total=event.total,
            seconds=event.seconds,
            error=event.error,
        )

    def _step(self, event: events.StepFinished) -> RunEvent:
        return self._made(
            f"upgrade.step_{event.status.value}",
            None,
            step=event.step.name,
            kind=event.step.kind.value,
            version=str(event.step.version),
            attempt=event.attempt,
            seconds=event.seconds,
            error=event.error,
        )

    def _segment(self, event: events.SegmentFinished) -> RunEvent:
        return self._made(
            "upgrade.version_completed",
            None,
            version=str(event.version),
            done=event.done,
            failed=event.failed,
            skipped=event.skipped,
            left_out=event.left_out,
            seconds=event.seconds,
        )

    def _made(self, name: str, workspace_id: str | None, **content: Any) -> RunEvent:
        assert self._run is not None
        return RunEvent(
            name, workspace_id, {"run_id": self._run.run_id, "app_version": self._run.app_version, **content}
        )


class RunEvents:
    """The sink: it hands events to a thread of its own, which emits them; the run never waits for a handler.

    Whatever goes wrong is logged and never fails the run. Leaving the block waits until all is told.
    """

    def __init__(
        self,
        emitter: WorkspaceEventEmitter,
        *,
        redact: Callable[[str], str] = str,
        closing_seconds: float = _CLOSING_SECONDS,
    ) -> None:
        """Tell nothing yet.

        Args:
            emitter: with an engine, if one of its handlers belongs into a transaction.
            redact: takes secrets out of errors.
            closing_seconds: so long the end of the block waits for handlers.
        """
        self._emitter = emitter
        self._redact = redact
        self._closing_seconds = closing_seconds
        self._narrator = RunNarrator()
        self._queue: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="upgrader workspace events", daemon=True)

    def __call__(self, event: events.Event) -> None:
        """Take an event of the run."""
        for told in self._narrator.tell(event):
            if self._emitter.wants(told.name):
                self._queue.put(told)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join(self._closing_seconds)
        if self._thread.is_alive():
            _log.warning(
                "handlers of workspace events were not through %g s after the run: what was left is not told",
                self._closing_seconds,
            )

    def _work(self) -> None:
        is_open = True
        while is_open:
            told, is_open = self._taken()
            try:
                self._emit(told)
            except Exception as error:  # the run goes on, whatever becomes of its events
                _log.warning(
                    "%d workspace events of this run could not be handed over: %s",
                    len(told),
                    error,
                    exc_info=True,
                )

    def _taken(self) -> tuple[list[RunEvent], bool]:
        """Wait for an event, and give all that are there by then; False at the end."""
        taken: list[RunEvent] = []
        while len(taken) < _MOST_AT_ONCE:
            event = self._queue.get() if not taken else self._next()
            if event is None:
                return taken, False
            if event is _NOTHING:
                break
            taken.append(event)
        return taken, True

    def _next(self) -> RunEvent | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return _NOTHING

    def _emit(self, told: list[RunEvent]) -> None:
        batches = [
            WorkspaceEventBatch(one.name, one.workspace_id, None, (self._redacted(one.content),))
            for one in told
        ]
        if batches:
            self._emitter.emit_in_own_transaction(batches)

    def _redacted(self, content: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self._redact(value) if isinstance(value, str) else value for key, value in content.items()
        }


_NOTHING = RunEvent("", None, {})
