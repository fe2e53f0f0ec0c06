"""Runs one step in one scope, and records what became of it."""

from __future__ import annotations

import time

from upgrader.command import SkipWorkspace
from upgrader.database.failures import describe_failure, needs_missing_extension
from upgrader.database.session import CommandSession
from upgrader.errors import ConnectionLostError, NoConnectionError, RunSupersededError, StepError
from upgrader.events import StepFinished, StepStarted
from upgrader.model import AttemptStatus, Direction
from upgrader.runner.execution import Execution
from upgrader.runner.result import StepResult
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_task import DoneElsewhere, LeftOut, StepTask
from upgrader.runner.stop import HardStop, Interrupted
from upgrader.runner.workspace_lock import WorkspaceBusy


class StepRunner:
    """Runs steps on one session."""

    def __init__(self, parts: StepParts) -> None:
        """Take the parts; nothing is opened yet."""
        self.parts = parts

    @property
    def session(self) -> CommandSession:
        """The session on which steps run."""
        return self.parts.session

    def run(self, task: StepTask) -> StepResult:
        """Run a step to its end, or take it back, and record what became of it.

        Raises:
            LeftOut: the workspace went away; nothing ran.
            WorkspaceBusy: somebody else is at work on it; nothing ran.
            NoConnectionError: the session could not be opened again; the step may be tried on another one.
            ConnectionLostError: the server ended the connection; what was in progress is rolled back, or was
                committed just before: the next run knows.
            HardStop: a second signal came.
        """
        attempt = self._next_attempt(task)
        self.parts.emit(StepStarted(task.step, task.scope, attempt))
        execution = Execution(self.parts, task, attempt)
        started = time.perf_counter()
        done = task.direction.done
        status, text = done, None
        try:
            execution.run()
        except NoConnectionError:
            execution.record_loss()
            raise
        except DoneElsewhere:
            execution.tries = 0
        except (LeftOut, WorkspaceBusy, ConnectionLostError, RunSupersededError):
            raise
        except HardStop:
            execution.record_interruption()
            raise
        except Interrupted as interrupted:
            status, text = AttemptStatus.INTERRUPTED, interrupted.reason
        except BaseException as error:
            if self.parts.stop.hard:  # the signal was another thread's: here its statement was cancelled
                execution.record_interruption()
                raise HardStop from error
            if self.session.is_lost:
                raise ConnectionLostError(
                    f"the server ended the connection while {task.step.name} ran"
                ) from error
            # An author's command may raise anything, SystemExit too: it is a failed step, not the end of the run.
            execution.explain(error)
            status, text = self.end_of(error)
        if status is not done:
            execution.record(status, text)
        seconds = time.perf_counter() - started
        result = StepResult(
            task.step,
            task.scope,
            attempt,
            status,
            seconds,
            execution.tries,
            text,
            waited_seconds=execution.watched.waited_seconds,
            paused_seconds=execution.paused_seconds,
            blockers=() if status is done else execution.watched.blockers,
        )
        self.parts.emit(StepFinished(task.step, task.scope, attempt, status, seconds, text))
        return result

    def _next_attempt(self, task: StepTask) -> int:
        # Whoever is taken back may have an attempt that does not show: one of which nothing was kept.
        if task.tried or task.is_resumed or task.direction is Direction.DOWN:
            return self.parts.store.last_attempt(task.step.name, task.scope) + 1
        return 1

    def end_of(self, error: BaseException) -> tuple[AttemptStatus, str]:
        """Say what an exception out of a command makes of its step, and with which words."""
        if isinstance(error, SkipWorkspace):
            return AttemptStatus.SKIPPED, self.parts.redact(error.reason)
        return AttemptStatus.FAILED, self.failure_text(error)

    def failure_text(self, error: BaseException) -> str:
        """Tell a failure as the history keeps it: redacted and cut."""
        text = describe_failure(error)
        if isinstance(error, StepError) and error.hint:
            text += f"\nhint: {error.hint}"
        if self.parts.settings.is_embedded and needs_missing_extension(error):
            text += (
                "\nhint: the embedded server has no contrib extensions; use a PostgreSQL server of your own:"
                " --database-url postgresql://user@host/database"
            )
        return self.parts.redact(text)
