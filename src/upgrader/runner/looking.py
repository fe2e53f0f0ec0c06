"""How a run begins, how it reads the truth, and the lock under which a barrier is passed; both may have to wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from upgrader.events import Waiting
from upgrader.history.layout import bring_up_to_date
from upgrader.runner.stop import HardStop
from upgrader.survey import Survey, take_survey

if TYPE_CHECKING:
    from upgrader.runner.upgrade import RunParts

_POLL_SECONDS = 0.1


def prepare(parts: RunParts) -> None:
    """Bring the history up to date, say who is at work, and end what dead runs have left unfinished."""
    bring_up_to_date(parts.lock.driver, parts.settings.schema)
    parts.lock.announce(parts.settings.app_version.text)
    parts.store.interrupt_running()


def look(parts: RunParts, *, at_barrier: bool = False) -> Survey:
    """Read how far the database is; waits while somebody holds the workspace table.

    Args:
        at_barrier: the barrier lock is held: it is given back while the workspace table is locked, because
            whoever has locked it may be waiting for just that.

    Raises:
        RunSupersededError: the run lock is gone.
        HardStop: the run was asked to stop while it waited.
    """
    parts.lock.check()
    started = time.monotonic()
    while (survey := _try_survey(parts)) is None:
        if at_barrier:
            parts.lock.release_barrier()
        waited = time.monotonic() - started
        parts.emit(Waiting("workspaces", f"waiting for a lock on the {parts.source.description}", waited))
        if parts.stop.wait(_POLL_SECONDS) or (at_barrier and not take_barrier(parts)):
            raise HardStop  # nothing is in progress: the run simply ends here
    return survey


def take_barrier(parts: RunParts) -> bool:
    """Take the barrier lock, under which nobody enrols a workspace; False where the run is asked to stop."""
    started, told = time.monotonic(), 0.0
    while not parts.lock.try_barrier():
        seconds = time.monotonic() - started
        if seconds - told >= 1.0:
            told = seconds
            pids = ", ".join(f"pid {holder.pid}" for holder in parts.lock.barrier_holders())
            parts.emit(Waiting("barrier-lock", f"waiting for {pids}, which is creating a workspace", seconds))
        if parts.stop.wait(_POLL_SECONDS):
            return False
    return True


def _try_survey(parts: RunParts) -> Survey | None:
    """Take a survey; None where the workspace table is locked by somebody."""
    try:
        return take_survey(session=parts.steps.session, store=parts.store, source=parts.source)
    except psycopg.errors.LockNotAvailable:
        return None
