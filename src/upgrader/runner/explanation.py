"""What is added to a failure that has to do with time: which timeout it was, who was in the way, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from upgrader.database.failures import LOCK_TIMEOUT, database_error, repeatable_reason, seconds_of
from upgrader.errors import StepError
from upgrader.model import Scope, Step
from upgrader.runner.lock_watch import BLOCKING, STOPPED, TOO_LONG, LockWatch, WatchedStep
from upgrader.runner.options import RunSettings
from upgrader.runner.stop import HardStop, Interrupted
from upgrader.runner.timeouts import Timeouts, timeouts_of

_LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"
_IDLE_IN_TRANSACTION = "25P03"
_NEARLY = 0.99  # clocks of two machines
_QUIETER = "or run the upgrade again at a quieter time"


@contextmanager
def explaining(
    watch: LockWatch, pid: int | None, *, step: Step, scope: Scope, settings: RunSettings
) -> Iterator[None]:
    """Watch the session `pid` in the block, which tries a step once; add to a failure what was seen.

    Raises:
        HardStop: the run was asked to stop while the step waited for a lock.
    """
    timeouts = timeouts_of(step, settings)
    watched = WatchedStep(step, scope, timeouts.lock_seconds)
    watch.begin(watched, pid)
    try:
        yield
    except Exception as error:
        if isinstance(translate_time_error(error, watched, timeouts), Interrupted):
            raise HardStop from error
        if repeatable_reason(error) == LOCK_TIMEOUT:
            watched.note_timeout()
        explain(error, watched, timeouts, tries=1, paused_seconds=0.0)
        raise
    finally:
        watch.end(watched)


def translate_time_error(error: BaseException, watched: WatchedStep, timeouts: Timeouts) -> Exception | None:
    """Give what an error really is, where the watch or an idle timeout ended the statement; None where it is itself.

    What is given has the traceback and the notes of `error`.
    """
    found = database_error(error)
    state = found.sqlstate if found is not None else None
    if watched.ended is not None and state == _QUERY_CANCELED:
        if watched.ended == STOPPED:
            return Interrupted()
        if watched.ended in (BLOCKING, TOO_LONG):
            return _instead(_ended(watched), error)
    if state == _IDLE_IN_TRANSACTION:
        return _instead(_stood_still(timeouts), error)
    return None


def explain(
    error: BaseException, watched: WatchedStep, timeouts: Timeouts, *, tries: int, paused_seconds: float
) -> None:
    """Add notes to an error that a timeout, a deadlock or a serialization failure is; other errors stay as they are."""
    if repeatable_reason(error) is not None:
        notes = [*_in_the_way(error, watched), *_tries(watched, tries, paused_seconds)]
        notes += _lock_hints(error, watched, timeouts)
    elif is_statement_timeout(error, timeouts):
        notes = list(_statement_timeout(timeouts))
    elif isinstance(error, StepError) and watched.ended in (BLOCKING, TOO_LONG):
        notes = list(_in_the_way(error, watched))
    else:
        return
    for note in notes:
        error.add_note(note)


def is_statement_timeout(error: BaseException, timeouts: Timeouts) -> bool:
    """Tell whether statement_timeout ended a statement, and not somebody who cancelled it."""
    found = database_error(error)
    if found is None or found.sqlstate != _QUERY_CANCELED:
        return False
    message = found.diag.message_primary or ""
    if message.startswith("canceling statement"):
        return "statement timeout" in message
    # The server speaks another language. A clock of the server's is as old as its statement, ours a little older.
    seconds = seconds_of(found)
    limit = timeouts.statement_seconds
    return bool(limit) and (seconds is None or seconds >= limit * _NEARLY)


def _instead(translated: StepError, error: BaseException) -> StepError:
    for note in getattr(error, "__notes__", ()):
        translated.add_note(note)
    return translated.with_traceback(error.__traceback__)


def _ended(watched: WatchedStep) -> StepError:
    wait = watched.last_wait
    assert wait is not None
    what = wait.locked if wait.locked.startswith("the ") else f"{wait.lock_mode} on {wait.locked}"
    if watched.ended == BLOCKING:
        return StepError(
            f"a statement was ended after {wait.seconds:.1f} s of waiting for {what}: others queue up behind it"
            " for as long as it waits",
            hint=f"{_remedy(watched)}; a transactional command would be tried again by itself",
        )
    return StepError(
        f"a statement was ended after {wait.seconds:.1f} s of waiting for {what}:"
        " that is how long it may wait (concurrent_wait_seconds)",
        hint=f"{_remedy(watched)}; or give the command more: concurrent_wait_seconds=… (0: without end)",
    )


def _stood_still(timeouts: Timeouts) -> StepError:
    return StepError(
        f"the command did nothing in its transaction for more than {timeouts.idle_seconds:g} s, and the server ended"
        " it (idle_in_transaction_session_timeout)",
        hint="do what takes long before the first statement; or give the command more:"
        " idle_in_transaction_session_timeout_seconds=… in its decorator (0: without end)",
    )


def _in_the_way(error: BaseException, watched: WatchedStep) -> Iterator[str]:
    for blocker in watched.blockers:
        yield f"in the way: {blocker.text}"
    found = database_error(error)
    if not watched.blockers and found is not None and found.sqlstate == _LOCK_NOT_AVAILABLE:
        why = watched.trouble or "the wait was over before anybody looked"
        yield f"who was in the way could not be seen: {why}"


def _tries(watched: WatchedStep, tries: int, paused_seconds: float) -> Iterator[str]:
    times = "once" if tries == 1 else f"{tries} times"
    yield f"tried {times}; waited {watched.waited_seconds:.1f} s for locks, paused {paused_seconds:.1f} s in between"


def _lock_hints(error: BaseException, watched: WatchedStep, timeouts: Timeouts) -> Iterator[str]:
    found = database_error(error)
    if found is None or found.sqlstate != _LOCK_NOT_AVAILABLE:
        return
    yield f"hint: {_remedy(watched)}"
    if timeouts.lock_seconds != watched.lock_seconds:
        yield "hint: the lock timeout is the command's own; in a data migration nothing is repeated after it"


def _remedy(watched: WatchedStep) -> str:
    return f"{watched.blockers[0].remedy}; {_QUIETER}" if watched.blockers else _QUIETER.removeprefix("or ")


def _statement_timeout(timeouts: Timeouts) -> Iterator[str]:
    if not timeouts.statement_seconds:
        yield "the command has set statement_timeout itself: the settings and its decorator have none"
        return
    yield (
        f"a statement took longer than {timeouts.statement_seconds:g} s, which is its statement_timeout"
        " (setting statement_timeout_seconds)"
    )
    yield "hint: give the command more: statement_timeout_seconds=… in its decorator (0: as long as it takes)"
