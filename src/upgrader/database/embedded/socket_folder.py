"""Where the server's socket lies: in a folder that no other OS user can enter, so it needs no password."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.errors import EmbeddedServerError

if TYPE_CHECKING:
    from upgrader.database.embedded.ownership import Account

SOCKET_PORT = 5432
"""Part of the socket's file name, and no more than that: the server listens on no network address."""

_LONGEST_BYTES = 103  # of a socket's path: 108 with the final NUL on Linux, 104 elsewhere
_PREFIX = "upgrader-pg-"


def socket_file(folder: Path, port: int = SOCKET_PORT) -> Path:
    """Give the socket that a server makes in `folder`."""
    return folder / f".s.PGSQL.{port}"


def is_usable(folder: Path) -> bool:
    """Tell whether a socket in `folder` can be connected to: short enough, and no list of hosts to libpq."""
    return len(os.fsencode(socket_file(folder))) <= _LONGEST_BYTES and "," not in str(folder)


def make_short_folder(account: Account) -> Path:
    """Make a private folder with a short path, for a data directory whose own path is too long.

    Its name is not predictable, so nobody can be there first; `postmaster.pid` tells it to the other users.

    Raises:
        EmbeddedServerError: no temporary folder is short enough and writable.
    """
    for parent in _temporary_folders():
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError:
            continue
        if is_usable(folder):
            if os.geteuid() == 0:
                os.chown(folder, account.uid, account.gid)
            return folder
        folder.rmdir()
    raise EmbeddedServerError(
        "there is no temporary folder with a path short enough for the server's socket",
        hint="use a data directory with a shorter path (at most 70 characters)",
    )


def is_short_folder(folder: Path, account: Account) -> bool:
    """Tell whether `folder` was made by `make_short_folder` for `account`, and is still there."""
    if folder.parent not in _temporary_folders() or not folder.name.startswith(_PREFIX):
        return False
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid


def remove_short_folder(folder: Path, account: Account) -> None:
    """Remove the folder of a server that has ended; any other folder stays."""
    if is_short_folder(folder, account):
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_folders() -> tuple[Path, ...]:
    # Not XDG_RUNTIME_DIR: it is emptied when its user logs out, and the server may live longer.
    return (Path("/tmp"), Path(tempfile.gettempdir()))
