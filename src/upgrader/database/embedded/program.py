"""Running a PostgreSQL program as the right OS user, out of the terminal's reach, in a clean environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.database.embedded.ownership import Account

_SHOWN_LINES = 15


def run_program(
    arguments: Sequence[str], *, account: Account, data: Path, keep_open: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program in the folder `data` as `account`, wait for its end, give its output; it may have failed.

    Relative paths in `arguments` spare the quoting: initdb and pg_ctl hand theirs to a shell.

    Args:
        arguments: program and arguments.
        account: the OS user; another one than the caller's only if the caller is root.
        data: the data directory.
        keep_open: file descriptors (locks) that the program and its children hold until they end.
    """
    as_root = os.geteuid() == 0
    return subprocess.run(
        list(arguments),
        cwd=data,
        # The caller's PGPORT, PGDATESTYLE and the like would change the server. macOS needs a valid LC_ALL.
        env={"PGDATA": str(data), "PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        pass_fds=keep_open,
        start_new_session=True,  # Ctrl-C reaches the terminal's whole process group: not this, not the server
        user=account.uid if as_root else None,
        group=account.gid if as_root else None,
        extra_groups=[] if as_root else None,
    )


def last_lines(text: str) -> str:
    """Give the end of an output or a log, as much as helps in an error message; empty lines left out."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-_SHOWN_LINES:])
