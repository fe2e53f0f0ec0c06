"""Who is using the server: locks on two files, which the kernel drops when their owner dies, however it dies.

    users.lock   held shared by each user, from before the start until it has left
    gate.lock    held by one at a time: whoever joins and starts, or leaves and stops

Whoever, within the gate, gets `users.lock` exclusively is the last *living* user. No list of process numbers
has to be kept true, so there is nothing that a killed user leaves behind.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
# Readable, so that a backup by the server's OS user does not fail on root's; the folder lets nobody else in.
_MODE = 0o644


class FileLock:
    """A lock of one opening of a file: two in one process exclude each other as two processes do."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, _FLAGS, _MODE)
        _open_locks.add(self)

    @property
    def descriptor(self) -> int:
        """The open file, for a program that is to hold the lock too."""
        if self._descriptor is None:
            raise ValueError("the lock is closed")
        return self._descriptor

    def take_exclusive(self) -> None:
        """Wait for the lock, however long; signal handlers run meanwhile."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def take_shared(self) -> None:
        """Wait until nobody holds it exclusively; signal handlers run meanwhile."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def turns_exclusive(self) -> bool:
        """Take the lock exclusively without waiting; after a False it may be lost altogether."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Drop the lock, unless a child holds the same opening; harmless twice."""
        # Not LOCK_UN: that would take it from a program that was given the descriptor and is still at work.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_inherited() -> None:
    """Close the parent's locks in a forked child, where they would keep the parent a user beyond its death.

    A child that is *executed* never gets them (close-on-exec).
    """
    for lock in list(_open_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_inherited)


class Users:
    """The users of one server, and the caller as one of them; `folder` holds the two files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = os.getpid()
        self._membership: FileLock | None = None

    @contextmanager
    def gate(self) -> Iterator[FileLock]:
        """Let one at a time in, over all processes and threads; waits for its turn."""
        gate = FileLock(self._folder / "gate.lock")
        try:
            gate.take_exclusive()
            yield gate
        finally:
            gate.close()

    def join(self) -> None:
        """Become a user; within the gate."""
        membership = FileLock(self._folder / "users.lock")
        self._membership = membership
        membership.take_shared()

    @property
    def am_member(self) -> bool:
        """Whether the caller has joined and not left; False in a forked child."""
        return self._membership is not None and self._process == os.getpid()

    def am_last(self) -> bool:
        """Tell whether no other living user is left; within the gate, and only to `leave` afterwards."""
        return self._membership is not None and self._membership.turns_exclusive()

    def leave(self) -> None:
        """Stop being a user; harmless twice. After `am_last`, still within the gate."""
        membership, self._membership = self._membership, None
        if membership is not None:
            membership.close()
