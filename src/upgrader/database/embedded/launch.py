"""Starting and ending the server process; all of it within the gate."""

from __future__ import annotations

import os
import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.database.embedded.address import CLUSTER_NAME
from upgrader.database.embedded.data_directory import OWN_FOLDER, DataDirectory
from upgrader.database.embedded.postmaster import Postmaster, pid_file
from upgrader.database.embedded.program import last_lines, run_program
from upgrader.database.embedded.socket_folder import (
    SOCKET_PORT,
    is_short_folder,
    is_usable,
    make_short_folder,
    remove_short_folder,
    socket_file,
)
from upgrader.errors import EmbeddedServerError

if TYPE_CHECKING:
    from upgrader.database.embedded.ownership import Account
    from upgrader.database.embedded.wheel import Programs

START_SECONDS = 300
"""How long a start may take; crash recovery is what takes long."""

STOP_SECONDS = 300

_ANSWER_SECONDS = 15.0
_PAUSE_SECONDS = 0.02
_REMNANT_SECONDS = 15.0
_LARGEST_LOG_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Launcher:
    """All that starting and ending the server of one directory takes."""

    directory: DataDirectory
    programs: Programs
    account: Account

    @property
    def log(self) -> Path:
        """The server's log, which grows over its starts."""
        return self.directory.own_folder / "server.log"

    def ensure_running(self) -> Postmaster:
        """Give the server that takes connections; start it, or wait for one that is starting or ending.

        Raises:
            EmbeddedServerError: it does not start, is not ready in time, or is not ours.
        """
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            found = self._alive()
            if found is None:
                self._launch()
                continue
            self._refuse_foreign(found)
            if found.is_ready:
                return found
            time.sleep(_PAUSE_SECONDS)
        raise EmbeddedServerError(
            f"the embedded server of {self.directory.path} is not ready after {START_SECONDS} seconds",
            hint=f"it goes on: if it recovers from a crash, run again later; it writes to {self.log}",
        )

    def end(self) -> bool:
        """Stop the server without waiting for its clients, and wait for its end; False if it goes on.

        Nothing is done to a server that is not ours, or does not run.
        """
        found = self._alive()
        if found is None or found.socket_folder is None or not self._is_ours(found.socket_folder):
            return True
        os.kill(found.pid, signal.SIGINT)  # "fast": open transactions are rolled back
        give_up = time.monotonic() + STOP_SECONDS
        while self._still_runs(found.pid):
            if time.monotonic() > give_up:
                return False
            time.sleep(_PAUSE_SECONDS)
        remove_short_folder(found.socket_folder, self.account)
        return True

    def _still_runs(self, pid: int) -> bool:
        now = Postmaster.read(self.directory.path)
        return now is not None and now.pid == pid and now.is_alive()

    def _alive(self) -> Postmaster | None:
        """Give the live server, known by its socket: a process number alone may be another program's."""
        give_up = time.monotonic() + _ANSWER_SECONDS
        while True:
            found = Postmaster.read(self.directory.path)
            if found is None or not found.is_alive():
                return None
            if found.answers():
                return found
            # Between making its file and its socket, or between removing them, a server does not answer.
            if time.monotonic() > give_up:
                raise EmbeddedServerError(
                    f"process {abs(found.pid)} seems to serve {self.directory.path}, but does not answer",
                    hint=f"end that process if it is one; if not, delete {pid_file(self.directory.path)}",
                )
            time.sleep(_PAUSE_SECONDS)

    def _refuse_foreign(self, found: Postmaster) -> None:
        if found.socket_folder is None or not self._is_ours(found.socket_folder):
            raise EmbeddedServerError(
                f"a server that was started by other means is running on {self.directory.path}",
                hint="stop it, or give its own URL as the database URL",
            )

    def _is_ours(self, folder: Path) -> bool:
        return folder == self.directory.own_folder or is_short_folder(folder, self.account)

    def _launch(self) -> None:
        give_up = time.monotonic() + _REMNANT_SECONDS
        while True:
            self._clear_remains()
            failure = self._try_launch()
            if failure is None:
                return
            # After a kill, the server's other processes hold its memory until they have noticed.
            if "pre-existing shared memory block" not in failure or time.monotonic() > give_up:
                raise EmbeddedServerError(
                    f"the embedded server of {self.directory.path} does not start:\n{failure}",
                    hint=f"the whole log is {self.log}",
                )
            time.sleep(_PAUSE_SECONDS)

    def _try_launch(self) -> str | None:
        """Start the server; None if it runs (ready, or on the way), else the last lines of its log."""
        if self.log.exists() and self.log.lstat().st_size > _LARGEST_LOG_BYTES:
            self.log.replace(self.log.with_name("server.log.1"))
        logged_bytes = self.log.lstat().st_size if self.log.exists() else 0
        folder = self.directory.own_folder
        if not is_usable(folder):
            folder = make_short_folder(self.account)
        started = run_program(self._pg_ctl_arguments(folder), account=self.account, data=self.directory.path)
        if started.returncode == 0 or self._alive() is not None:
            return None
        remove_short_folder(folder, self.account)
        return last_lines(self._logged_after(logged_bytes)) or last_lines(started.stdout)

    def _pg_ctl_arguments(self, socket_folder: Path) -> list[str]:
        options = {
            "listen_addresses": "",
            "port": str(SOCKET_PORT),
            # Relative to the data directory, whatever characters its path has.
            "unix_socket_directories": OWN_FOLDER
            if socket_folder == self.directory.own_folder
            else str(socket_folder),
            "unix_socket_permissions": "0700",
            "cluster_name": CLUSTER_NAME,
            "logging_collector": "off",
            "log_destination": "stderr",
            # A dry run keeps the locks of many workspaces in one transaction.
            "max_locks_per_transaction": "1024",
        }
        text = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
        log = str(self.log.relative_to(self.directory.path))
        # The directory is in PGDATA: an argument would go through a shell, where a `$` in it counts.
        return [
            str(self.programs.pg_ctl),
            "start",
            "-w",
            "-s",
            "-t",
            str(START_SECONDS),
            "-l",
            log,
            "-o",
            text,
        ]

    def _clear_remains(self) -> None:
        """Remove what a dead server left, as far as it would be in the way of the next."""
        dead = Postmaster.read(self.directory.path)
        if dead is not None:
            if dead.socket_folder is not None:
                remove_short_folder(dead.socket_folder, self.account)
            if dead.blocks_start():
                pid_file(self.directory.path).unlink(missing_ok=True)
        socket = socket_file(self.directory.own_folder)
        socket.unlink(missing_ok=True)
        # Names a process by number as well, which may be another program's by now.
        socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)

    def _logged_after(self, logged_bytes: int) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(logged_bytes)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
