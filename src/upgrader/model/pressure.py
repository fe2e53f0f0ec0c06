"""How a server is doing, as far as a role may see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pressure:
    """One look at a server. What could not be read, or may not be seen, is None.

    Attributes:
        lanes_waiting: how many connections of the run wait for a lock.
        lock_waits: how many sessions of others do.
        active_sessions: how many sessions of others execute a statement just now, waiting or not.
        replication_lag_bytes: how far the slowest standby is behind in replaying; 0 without one.
    """

    lanes_waiting: int | None = None
    lock_waits: int | None = None
    active_sessions: int | None = None
    replication_lag_bytes: int | None = None
