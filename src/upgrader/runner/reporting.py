"""What all kinds of run have in common: a beginning, an end, and errors that end up in the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from upgrader.database.failures import translate_run_error
from upgrader.errors import OperatorError, RunError
from upgrader.events import EventSink, RunFinished, RunStarted
from upgrader.model import Outcome
from upgrader.runner.result import RunReport
from upgrader.runner.stop import HardStop, StopToken


def _never() -> bool:
    return False


@contextmanager
def reporting(
    report: RunReport, *, emit: EventSink, stop: StopToken, is_under_way: Callable[[], bool] = _never
) -> Iterator[None]:
    """Run the block as a run: what cuts it off is told by the report.

    Args:
        is_under_way: whether something ran already. "Refused before anything ran" would be wrong then: that
            the server went away, or the workspace table, is a failure of the run.

    Raises:
        OperatorError: nothing ran, somebody has to change something.
    """
    started = time.perf_counter()
    emit(RunStarted(report.run_id, report.app_version, report.dry_run, report.database))
    try:
        yield
    except HardStop:
        report.outcome = Outcome.INTERRUPTED
    except RunError as error:
        report.outcome, report.error = Outcome.FAILED, error
    except OperatorError as error:
        if not is_under_way():
            raise
        report.outcome, report.error = Outcome.FAILED, RunError(error.message, hint=error.hint)
    except psycopg.Error as error:
        report.outcome, report.error = Outcome.FAILED, translate_run_error(error)
    report.signal_name = stop.signal_name
    report.seconds = time.perf_counter() - started
    emit(RunFinished(report.run_id, report.outcome.value, {"completed": report.completed}))
