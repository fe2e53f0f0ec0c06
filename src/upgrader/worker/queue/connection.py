"""Where the queue is, and connections to it."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from upgrader.database.connect import Connector
from upgrader.database.conninfo import join_conninfo, parse_conninfo
from upgrader.errors import SettingsError
from upgrader.settings import Settings
from upgrader.settings.database_url import EMBEDDED_PREFIX, embedded_path

Notify = Callable[[str], None]

_DEFAULT_HOST = "127.0.0.1"
_SETTINGS = {"default_transaction_isolation": "read committed"}
"""Whatever role and database say: to take and to end jobs is not to fail because others do so in the same moment."""


def queue_url(settings: Settings, *, explicit: str | None = None) -> str:
    """Give the URL of the queue's database.

    The first of: the explicit one, `queue_database_url`, the single values `queue_host` …, `database_url`. Where
    the single values name a host, they say all (a missing password is looked for by libpq, never taken from
    another host's URL); where they do not, what is not said is that of `database_url`.

    Raises:
        SettingsError: none is given.
    """
    worker = settings.worker
    given = explicit or worker.queue_database_url or _from_single_values(settings) or settings.database_url
    if given is None:
        raise SettingsError(
            "no database is given that holds the queue",
            hint="set database_url, worker.queue_database_url or UPGRADER_WORKER__QUEUE_DATABASE_URL",
        )
    return given


def _from_single_values(settings: Settings) -> str | None:
    given = _single_values(settings)
    if not given:
        return None
    base = settings.database_url or ""
    if "host" in given or base.startswith(EMBEDDED_PREFIX):
        return join_conninfo({"host": _DEFAULT_HOST, **given})
    return join_conninfo({**(parse_conninfo(base) if base else {"host": _DEFAULT_HOST}), **given})


def _single_values(settings: Settings) -> Mapping[str, str]:
    worker = settings.worker
    given = {
        "host": worker.queue_host,
        "port": str(worker.queue_port) if worker.queue_port else None,
        "user": worker.queue_user,
        "password": worker.queue_password,
        "dbname": worker.queue_database,
        "sslmode": worker.queue_sslmode,
    }
    return {name: value for name, value in given.items() if value}


@contextmanager
def queue_connector(
    settings: Settings,
    *,
    explicit: str | None = None,
    application_name: str = "upgrader/queue",
    directory: Path | None = None,
    notify: Notify | None = None,
) -> Iterator[Connector]:
    """Give the way to the queue's database; the embedded server runs as long as the block.

    Args:
        directory: what an embedded server's relative directory is relative to; the working directory by default.
        notify: told what is done to the machine for an embedded server.
    """
    url = queue_url(settings, explicit=explicit)
    seconds = settings.connect_timeout_seconds
    if not url.startswith(EMBEDDED_PREFIX):
        yield Connector(url, application_name, seconds, settings=_SETTINGS)
        return
    from upgrader.database.embedded import embedded_server

    data = (directory or Path()) / embedded_path(url)
    with embedded_server(data, notify=notify or (lambda _: None)) as uri:
        yield Connector(uri, application_name, seconds, label=url, settings=_SETTINGS)


class QueueConnection:
    """One connection that several threads share, opened when it is first used and again when it was lost.

    A process that was forked opens one of its own: two that speak on one would hear each other's answers.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self._driver: psycopg.Connection | None = None
        self._process = os.getpid()

    @contextmanager
    def use(self) -> Iterator[psycopg.Connection]:
        """Give the connection to one thread at a time, in autocommit.

        Raises:
            DatabaseUnavailableError: there is none to be had.
        """
        if self._process != os.getpid():
            self._leave_to_parent()
        with self._lock:
            if self._driver is None or not _is_alive(self._driver):
                self._close()
                self._driver = self._connector.connect()
            yield self._driver

    def close(self) -> None:
        """Close it; the next use opens another."""
        if self._process != os.getpid():
            self._leave_to_parent()
        with self._lock:
            self._close()

    def _leave_to_parent(self) -> None:
        """Forget the connection; to close it would end the parent's. Some thread there may have had the lock."""
        self._lock, self._driver, self._process = threading.Lock(), None, os.getpid()

    def _close(self) -> None:
        if self._driver is not None:
            with suppress(psycopg.Error):
                self._driver.close()
        self._driver = None


def _is_alive(driver: psycopg.Connection) -> bool:
    """Tell whether the server has said nothing while nobody asked: it does so only as it ends a connection."""
    if driver.closed:
        return False
    waiting = select.poll()  # select() takes no number over 1023, and an application may have that many
    waiting.register(driver.fileno(), select.POLLIN)
    if not waiting.poll(0):
        return True
    try:
        driver.execute("select")
    except psycopg.Error:
        return False
    return True
