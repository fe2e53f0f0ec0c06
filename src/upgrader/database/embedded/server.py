"""The embedded server as its users see it: start (or join) it, leave it (and, as the last, stop it)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from upgrader.database.embedded.data_directory import DataDirectory
from upgrader.database.embedded.launch import Launcher
from upgrader.database.embedded.notice import Notify, unheard
from upgrader.database.embedded.ownership import ensure_account, find_account, open_files
from upgrader.database.embedded.users import FileLock, Users
from upgrader.database.embedded.wheel import DEFAULT_POSTGRES_VERSION, find_programs
from upgrader.errors import EmbeddedServerError

if TYPE_CHECKING:
    from upgrader.database.embedded.postmaster import Postmaster


class EmbeddedServer:
    """One use of the server on one data directory; several in one process count as several users.

    Not to be shared between threads. A forked child does not use it: there `stop` does nothing.
    """

    def __init__(
        self,
        data: Path,
        *,
        postgres_version: int | None = None,
        notify: Notify = unheard,
    ) -> None:
        self._directory = DataDirectory(Path(os.path.realpath(data)))
        self._version = postgres_version or DEFAULT_POSTGRES_VERSION
        self._notify = notify
        self._users: Users | None = None
        self._launcher: Launcher | None = None
        self._uri: str | None = None

    @property
    def uri(self) -> str:
        """The libpq URI of the running server: superuser `postgres`, database `postgres`, over its socket.

        Raises:
            EmbeddedServerError: it has not been started, or has been left.
        """
        if self._uri is None:
            raise EmbeddedServerError(f"the embedded server of {self._directory.path} is not in use")
        return self._uri

    def start(self) -> str:
        """Become a user of the running server, started if need be, and give its URI; harmless twice.

        Waits for other users that are just starting or stopping it. Leaves nothing held if it fails.

        Raises:
            EmbeddedServerError: no wheel, a directory that is not ours to use, a server that does not start.
        """
        if self._uri is not None:
            return self._uri
        try:
            self._launcher = self._prepare()
            self._users = Users(self._directory.own_folder)
            with self._users.gate() as gate:
                self._users.join()
                postmaster = self._ensure_running(self._launcher, gate)
        except EmbeddedServerError:
            self._leave()  # not stopped: nothing runs, or it is busy recovering
            raise
        except OSError as error:
            self._leave()
            raise self._translated(error) from error
        except BaseException:
            self.stop()  # interrupted: the server may have come up
            raise
        self._uri = _uri_of(postmaster)
        return self._uri

    def stop(self) -> None:
        """Stop being a user, and stop the server if no other living user is left; harmless twice.

        Raises nothing of its own: what cannot be done is told to `notify`.
        """
        users, launcher = self._users, self._launcher
        try:
            if users is None or launcher is None or not users.am_member:
                return
            with users.gate():
                if users.am_last() and not launcher.end():
                    self._notify(f"the embedded server of {self._directory.path} is taking long to stop")
                users.leave()
        except (OSError, EmbeddedServerError) as error:
            self._notify(f"the embedded server of {self._directory.path} was not stopped: {error}")
        finally:
            self._leave()

    def _prepare(self) -> Launcher:
        """Look at everything before anything is changed; then make what is missing."""
        programs = find_programs(self._version)
        self._directory.refuse_unusable(version=self._version, account=find_account())
        account = ensure_account(notify=self._notify)
        open_files(programs.folders, account=account, notify=self._notify)
        self._directory.prepare(account=account, notify=self._notify)
        return Launcher(self._directory, programs, account)

    def _ensure_running(self, launcher: Launcher, gate: FileLock) -> Postmaster:
        self._directory.refuse_unusable(version=self._version, account=launcher.account)
        if not self._directory.is_filled:
            self._directory.fill(launcher.programs, account=launcher.account, gate=gate)
        return launcher.ensure_running()

    def _leave(self) -> None:
        self._uri = None
        users, self._users = self._users, None
        if users is not None:
            users.leave()

    def _translated(self, error: OSError) -> EmbeddedServerError:
        where = f": {error.filename}" if error.filename else ""
        return EmbeddedServerError(
            f"the embedded server cannot use {self._directory.path}: {error.strerror or error}{where}",
            hint="name a directory that you can write to",
        )


def _uri_of(postmaster: Postmaster) -> str:
    # The port is said although it is the usual one: PGPORT in the client's environment would replace it.
    folder = quote(os.fsencode(str(postmaster.socket_folder)), safe="")
    return f"postgresql://postgres@/postgres?host={folder}&port={postmaster.port}"
