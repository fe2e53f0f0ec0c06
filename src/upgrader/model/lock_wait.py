"""A wait for a lock, and the building of an index, as somebody else sees them."""

from __future__ import annotations

from dataclasses import dataclass

from upgrader.model.blocker import Blocker


@dataclass(frozen=True, slots=True)
class LockWait:
    """A session waits for a lock.

    Attributes:
        lock_mode: the mode that it waits for.
        locked: what it waits for: `core.invoice`, `a row of core.invoice`, `the end of a transaction`.
        seconds: how long it has waited for it.
        started: when the wait began, by the server's clock; it tells one wait from the next.
        keeps_others_waiting: readers or writers of the table have to queue up behind it.
        blockers: heads of the queue first.
    """

    lock_mode: str
    locked: str
    seconds: float
    started: str
    keeps_others_waiting: bool
    blockers: tuple[Blocker, ...]

    @property
    def text(self) -> str:
        """Tell it, to be put behind who waits: `waits for … on …: pid 4711 (…)`."""
        what = self.locked if self.locked.startswith("the ") else f"{self.lock_mode} on {self.locked}"
        who = self.blockers[0].text if self.blockers else "nobody that can be seen is in the way"
        return f"waits for {what}: {who}"


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far the building of an index is.

    Attributes:
        phase: as PostgreSQL calls it: `building index: scanning table`.
        percent: of the phase, where it can be told.
        lockers_done: of the transactions that the phase waits for, how many have ended.
        lockers_total: how many there are to wait for; 0 in the phases that wait for none.
    """

    phase: str
    percent: float | None = None
    lockers_done: int = 0
    lockers_total: int = 0
