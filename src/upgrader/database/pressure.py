"""What a run reads of the server while it chooses by itself how many lanes it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from upgrader.database.aside import Asks, ConnectionBusy
from upgrader.database.health import HealthReader, Reading
from upgrader.model import Pressure

# Who waits is to be seen in the locks, which hide nothing; those of other databases wait for something else. What a
# session does is hidden from most roles: where one row is hidden, how many are active is not known.
_SESSIONS = """
with waiting as (
    select distinct pid from pg_lock_status() where not granted
), sessions as (
    select a.pid, coalesce(a.application_name = any(%(own)s), false) as is_own, a.state,
        a.backend_start is null as is_hidden, a.pid in (select pid from waiting)
            and a.datid = (select oid from pg_database where datname = current_database()) as is_waiting
    from pg_stat_get_activity(null) a
    where a.pid <> pg_backend_pid() and coalesce(a.backend_type, 'client backend') = 'client backend'
)
select count(*) filter (where is_own and is_waiting), count(*) filter (where not is_own and is_waiting),
    count(*) filter (where not is_own and state = 'active'), coalesce(bool_or(is_hidden), false)
from sessions
"""


@dataclass
class PressureReader:
    """Takes readings on a connection that others use too: each is one statement in autocommit.

    Attributes:
        driver: gives an open connection in autocommit, or asks on one that others use.
        own: application names whose sessions are those of the run.
    """

    driver: Callable[[], Asks]
    own: tuple[str, ...]
    _health: HealthReader = field(init=False)

    def __post_init__(self) -> None:
        """Share the way in which the health of the database is read."""
        self._health = HealthReader(self.driver, own=self.own)

    def read(self) -> Pressure:
        """Look once; what the role may not see, or the server does not tell, is unknown. Never raises for it."""
        lag = self._replication_lag_bytes()
        try:
            row = self.driver().execute(_SESSIONS, {"own": list(self.own)}).fetchone()
        except (psycopg.Error, ConnectionBusy):
            row = None
        if row is None:
            return Pressure(replication_lag_bytes=lag)
        lanes_waiting, lock_waits, active, is_hidden = row
        return Pressure(lanes_waiting, lock_waits, None if is_hidden else active, lag)

    def _replication_lag_bytes(self) -> int | None:
        health = self._health.read(0, frozenset({Reading.REPLICATION}))
        lags = [standby.lag_bytes for standby in health.standbys if standby.lag_bytes is not None]
        if lags:
            return max(lags)
        return None if Reading.REPLICATION in health.unknown or health.standbys else 0
