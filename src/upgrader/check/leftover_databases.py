"""The databases of checks that were killed: told from those of one that is alive, and dropped by the next one.

upgrader_check_1f2e3d4c     its check holds a session in it for as long as it lives
upgrader_check_1f2e3d4c_1   a copy that the check works in
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from upgrader.database.connect import Connector, identifier
from upgrader.database.conninfo import join_conninfo, parse_conninfo
from upgrader.database.embedded.notice import Notify
from upgrader.errors import DatabaseUnavailableError

PREFIX = "upgrader_check_"
_DEAD = rf"""
with found as (
    select oid, datname, substring(datname from '^{PREFIX}[0-9a-f]{{8}}') as held
    from pg_database
    where datname ~ '^{PREFIX}[0-9a-f]{{8}}(_[0-9]+)?$'
        and datdba = (select oid from pg_roles where rolname = current_user)
)
select datname from found
where not exists (select from pg_stat_activity s where s.datid = found.oid or s.datname = found.held)
order by datname desc
"""


@dataclass
class Held:
    """The names of one check's databases, and the session that shows that it lives."""

    run: str = field(default_factory=lambda: secrets.token_hex(4))
    _session: psycopg.Connection | None = None
    _count: int = 0

    @property
    def database(self) -> str:
        """The database that the session is held in; to be dropped after all others."""
        return PREFIX + self.run

    @property
    def is_held(self) -> bool:
        """Whether somebody looking for leftovers sees that the check lives."""
        return self._session is not None

    def hold(self, url: str) -> None:
        """Make the database and hold a session in it.

        Args:
            url: of a database of the same server.
        """
        try:
            self._session = self._begin(url)
        except (
            DatabaseUnavailableError
        ):  # nobody was in it yet: another check may have dropped it as a leftover
            self._session = self._begin(url)
        self._session.execute(
            "set idle_session_timeout = 0"
        )  # it says nothing for as long as the check takes

    def _begin(self, url: str) -> psycopg.Connection:
        with Connector(url).connect() as driver, suppress(psycopg.errors.DuplicateDatabase):
            driver.execute(f"create database {identifier(self.database)} template template0".encode())
        return Connector(join_conninfo({**parse_conninfo(url), "dbname": self.database})).connect()

    def next_name(self) -> str:
        """Give a name for one more database."""
        self._count += 1
        return f"{self.database}_{self._count}"

    def release(self) -> None:
        """End the session; harmless twice."""
        if self._session is not None:
            self._session.close()
        self._session = None


def drop_leftovers(driver: psycopg.Connection, *, notify: Notify) -> None:
    """Drop what checks left behind whose session is gone, and in which nobody is; never one in use.

    Only databases of this very role. One that cannot be dropped is left to the next check.
    """
    for (name,) in driver.execute(_DEAD.encode()).fetchall():
        try:
            # Without FORCE: whoever comes to it in this moment keeps it.
            driver.execute(f"drop database if exists {identifier(name)}".encode())
        except psycopg.Error:
            continue
        notify(f"dropped the database {name}, which a check that was killed had left behind")
