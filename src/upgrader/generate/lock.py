"""One writer at a time in a directory of commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold the directory itself locked: no lock file is left behind, and a killed process lets go.

    Where directories cannot be locked (Windows, some network file systems) it locks nothing: two writers that
    never overwrite each other's files may then choose one timestamp, which loading reports.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
