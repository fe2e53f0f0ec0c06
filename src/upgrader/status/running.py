"""The upgrade that is at work, as another session sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.history.keys import LockKeys
from upgrader.history.run_lock import find_holders

if TYPE_CHECKING:
    import psycopg

    from upgrader.history.run_lock import Holder
    from upgrader.history.sql_store import SqlHistoryStore

_APPLICATION_NAME = "upgrader/"


@dataclass(frozen=True, slots=True)
class RunningUpgrade:
    """The session that holds the run lock, as far as this role may see it; None is unknown.

    Attributes:
        pid: its server process.
        client: the host and process it runs on.
        executed_by_version: its `app_version`.
        held_seconds: how long its session has been there.
        silent_seconds: how long none of the run's sessions has begun or ended a statement.
    """

    pid: int
    run_id: str | None = None
    client: str | None = None
    address: str | None = None
    executed_by_version: str | None = None
    held_seconds: float | None = None
    silent_seconds: float | None = None


def find_running(driver: psycopg.Connection, store: SqlHistoryStore, *, schema: str) -> RunningUpgrade | None:
    """Look who holds the run lock; takes no lock, and needs no history."""
    holders = find_holders(driver, LockKeys.of(schema).run)
    return _running(holders[0], store) if holders else None


def _running(holder: Holder, store: SqlHistoryStore) -> RunningUpgrade:
    name = holder.application_name or ""
    run_id = name.removeprefix(_APPLICATION_NAME) if name.startswith(_APPLICATION_NAME) else None
    announced = store.announced_run()
    # A run that has just begun has not announced itself: the row is still the last one's.
    if announced is not None and (announced.backend_pid, announced.run_id) != (holder.pid, run_id):
        announced = None
    return RunningUpgrade(
        pid=holder.pid,
        run_id=run_id,
        client=announced.client if announced else None,
        address=holder.address,
        executed_by_version=announced.executed_by_version if announced else None,
        held_seconds=holder.held_seconds,
        silent_seconds=holder.silent_seconds,
    )
