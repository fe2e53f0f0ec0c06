"""The data directory of an embedded server: whose it is, what is in it, how it is filled.

Beside PostgreSQL's own files it holds one folder, `upgrader.server`: locks, log, usually the socket, and
while it is being filled the steps on the way. They can be cut off anywhere; the next user goes on from there:

    upgrader.server/initdb        initdb at work; nothing in it counts
    upgrader.server/initdb.done   complete; its entries are being moved up, PG_VERSION last
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.database.embedded.ownership import Account, open_way, user_name
from upgrader.database.embedded.program import last_lines, run_program
from upgrader.database.embedded.wheel import Programs, available_versions
from upgrader.errors import EmbeddedServerError

if TYPE_CHECKING:
    from upgrader.database.embedded.notice import Notify
    from upgrader.database.embedded.users import FileLock

OWN_FOLDER = "upgrader.server"
_STAGE = f"{OWN_FOLDER}/initdb"
_BUILTIN_LOCALES_SINCE = 17


class DataDirectory:
    """One data directory; `path` is absolute and free of links."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.own_folder = path / OWN_FOLDER
        self._complete = self.own_folder / "initdb.done"

    def refuse_unusable(self, *, version: int, account: Account | None) -> None:
        """Refuse a directory that is not ours, or holds something else; a missing or an empty one is fine.

        Changes nothing. Call it once more within the gate: the directory may have been filled meanwhile.

        Args:
            version: the PostgreSQL major version that is to run on it.
            account: the OS user who runs servers for the caller; None if root has not made it yet.

        Raises:
            EmbeddedServerError: another OS user's, another version's, or no data directory at all.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode):
            raise EmbeddedServerError(
                f"{self.path} is a file", hint="name a directory for the embedded server"
            )
        self._refuse_foreign(found.st_uid, account)
        present = self._version()
        if present is None and not self._is_fillable():
            present = self._version()  # another user may have finished filling it just now
            if present is None:
                raise EmbeddedServerError(
                    f"{self.path} is neither empty nor a PostgreSQL data directory",
                    hint="name a new directory for the embedded server",
                )
        if present is None:
            return
        if present != str(version):
            raise EmbeddedServerError(
                f"{self.path} holds data of PostgreSQL {present}, this is PostgreSQL {version}",
                hint=_other_version_hint(present),
            )
        if os.geteuid() == 0 and found.st_uid == 0 and account is not None:
            name = user_name(account.uid)
            raise EmbeddedServerError(
                f"{self.path} holds data that belongs to root, and PostgreSQL runs as {name}",
                hint=f"chown -R {name} '{self.path}'",
            )

    def prepare(self, *, account: Account, notify: Notify) -> None:
        """Make the directory, its parents and its own folder if they are missing, and give it to `account`.

        Raises:
            OSError: no permission, no space.
            EmbeddedServerError: `account` cannot get to the directory.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        open_way(self.path, account=account, notify=notify)
        self.path.mkdir(mode=0o700, exist_ok=True)
        if self._version() is None:
            _adopt(self.path, account)
        self.own_folder.mkdir(mode=0o700, exist_ok=True)
        _adopt(self.own_folder, account)

    @property
    def is_filled(self) -> bool:
        """Whether a server can start on it."""
        return self._version() is not None and not self._complete.exists()

    def fill(self, programs: Programs, *, account: Account, gate: FileLock) -> None:
        """Run initdb, or carry on where a killed user stopped; within the gate.

        Raises:
            OSError: no space.
            EmbeddedServerError: initdb failed; carries the end of what it said.
        """
        if not self._complete.exists():
            stage = self.path / _STAGE
            if stage.exists():
                shutil.rmtree(stage)
            # initdb holds the gate too: killing its caller lets nobody in before it has ended as well.
            made = run_program(
                _initdb_arguments(programs), account=account, data=self.path, keep_open=(gate.descriptor,)
            )
            if made.returncode != 0:
                shutil.rmtree(stage, ignore_errors=True)
                raise EmbeddedServerError(
                    f"the data directory {self.path} cannot be filled:\n{last_lines(made.stdout)}",
                    hint="see initdb's last lines above",
                )
            stage.rename(self._complete)
        for entry in sorted(self._complete.iterdir(), key=lambda found: found.name == "PG_VERSION"):
            entry.rename(self.path / entry.name)
        self._complete.rmdir()

    def _refuse_foreign(self, owner: int, account: Account | None) -> None:
        ours = {account.uid} if account is not None else set()
        if os.geteuid() == 0:
            ours.add(0)
        if owner not in ours:
            raise EmbeddedServerError(
                f"{self.path} belongs to the OS user {user_name(owner)}, and is left alone",
                hint="run as that user, or name another directory for the embedded server",
            )

    def _version(self) -> str | None:
        try:
            return (self.path / "PG_VERSION").read_text(errors="replace").strip() or None
        except FileNotFoundError:
            return None

    def _is_fillable(self) -> bool:
        entries = {entry.name for entry in self.path.iterdir()}
        return entries <= {OWN_FOLDER} or self._complete.exists()


def _adopt(folder: Path, account: Account) -> None:
    # By descriptor and never through a link: root may be at work where somebody else can rename things.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.geteuid() == 0:
            if os.fstat(descriptor).st_uid not in (0, account.uid):
                raise PermissionError(errno.EPERM, "it belongs to another OS user", str(folder))
            os.fchown(descriptor, account.uid, account.gid)
        os.fchmod(descriptor, 0o700)  # PostgreSQL starts on no directory that others can read
    finally:
        os.close(descriptor)


def _initdb_arguments(programs: Programs) -> list[str]:
    arguments = [str(programs.initdb), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    if programs.version >= _BUILTIN_LOCALES_SINCE:
        # The same on each operating system; plain C knows neither upper nor lower case beyond ASCII.
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [*arguments, "--no-instructions", "-D", _STAGE]


def _other_version_hint(present: str) -> str:
    choice = "name another directory for the embedded server, or move this one aside"
    if present in map(str, available_versions()):
        return f"{choice}, or set PGSERVER_POSTGRES_VERSION={present}"
    return choice
