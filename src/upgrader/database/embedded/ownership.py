"""Which OS user runs the server, and what root opens so that this user gets to its files.

PostgreSQL refuses to run as root. For root it runs as the OS user `pgserver`, made if need be. Everybody else
runs it as themselves, and nothing here does anything.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.errors import EmbeddedServerError

if TYPE_CHECKING:
    from upgrader.database.embedded.notice import Notify

SERVER_USER = "pgserver"
_ADMIN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Account:
    """An OS user, by its numbers."""

    uid: int
    gid: int


def find_account(name: str = SERVER_USER) -> Account | None:
    """Give the OS user that runs servers for the caller; None for root as long as `name` does not exist."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def ensure_account(*, notify: Notify, name: str = SERVER_USER) -> Account:
    """Give the OS user that runs servers for the caller; root makes it if it is missing, and says so.

    Raises:
        EmbeddedServerError: it cannot be made.
    """
    account = find_account(name)
    if account is not None:
        return account
    useradd = shutil.which("useradd", path=_ADMIN_PATH)
    if useradd is None:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and there is no useradd to make the OS user {name!r} for it",
            hint=f"make that user by other means (adduser -S -D -H {name}), or run as an ordinary user",
        )
    with _one_at_a_time(useradd):
        return find_account(name) or _make_account(useradd, name=name, notify=notify)


def user_name(uid: int) -> str:
    """Name an OS user for people, by its number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def open_way(folder: Path, *, account: Account, notify: Notify) -> None:
    """Let `account` pass through the folders above `folder`: as root, add o+x where needed, and say where.

    Each folder that it can pass already stays as it is.

    Raises:
        EmbeddedServerError: o+x does not help (the group's permissions shut it out).
    """
    if os.geteuid() != 0:
        return
    for above in reversed(folder.resolve().parents):
        if _may_pass(above, account):
            continue
        above.chmod(stat.S_IMODE(above.stat().st_mode) | stat.S_IXOTH)
        notify(f"made {above} passable for all OS users (o+x): the server runs as {user_name(account.uid)}")
        if not _may_pass(above, account):
            raise EmbeddedServerError(
                f"the OS user {user_name(account.uid)}, who runs the server, cannot pass through {above}",
                hint="use another directory, or run as an ordinary user",
            )


def open_files(folders: Iterable[Path], *, account: Account, notify: Notify) -> None:
    """Let `account` read `folders`, which an installation under a strict umask keeps to root. As root only.

    Raises:
        EmbeddedServerError: a file that is needed belongs to somebody else than root, and is not opened.
    """
    if os.geteuid() != 0:
        return
    for folder in folders:
        open_way(folder, account=account, notify=notify)
        opened = sum(_open_file(path, account) for path in (folder, *folder.rglob("*")))
        if opened:
            notify(
                f"made {opened} files and folders in {folder} readable for all OS users: they are the server"
            )


@contextmanager
def _one_at_a_time(program: str) -> Iterator[None]:
    # Two useradd at once both succeed for one name, and the second replaces the first's number.
    descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_account(useradd: str, *, name: str, notify: Notify) -> Account:
    command = [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", name]
    made = subprocess.run(
        command, env={"PATH": _ADMIN_PATH}, capture_output=True, text=True, errors="replace", check=False
    )
    account = find_account(name)
    if made.returncode != 0 or account is None:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and the OS user {name!r} cannot be made: {made.stderr.strip()}",
            hint="make that user by hand, or run as an ordinary user",
        )
    notify(f"made the OS user {name}, because PostgreSQL does not run as root")
    return account


def _open_file(path: Path, account: Account) -> bool:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return False
    wanted = stat.S_IROTH | (stat.S_IXOTH if found.st_mode & stat.S_IXUSR else 0)
    if found.st_mode & wanted == wanted or found.st_uid == account.uid:
        return False
    if found.st_uid != 0:
        raise EmbeddedServerError(
            f"{path} belongs to the OS user {user_name(found.st_uid)} and cannot be read by"
            f" {user_name(account.uid)}, who runs the server for root",
            hint="run as that user, or install upgrader[embedded] for root",
        )
    path.chmod(stat.S_IMODE(found.st_mode) | wanted)
    return True


def _may_pass(folder: Path, account: Account) -> bool:
    found = folder.stat()
    if found.st_mode & stat.S_IXOTH and account.uid != found.st_uid and account.gid != found.st_gid:
        return True
    # The mode does not tell all (access control lists): let the kernel say.
    probe = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$0"', str(folder)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return probe.returncode == 0
