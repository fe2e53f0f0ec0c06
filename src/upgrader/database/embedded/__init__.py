"""A PostgreSQL server from a wheel, on a data directory of one's own: nothing to install or administer.

It is started on demand and stopped after its last living user. Linux and macOS; Windows has no
`flock`, and is refused.

    address.py        `embedded:PATH`, and how to recognise an embedded server
    server.py         EmbeddedServer: join, start, leave, stop
    users.py          who is using it: locks that the kernel drops with their owner
    data_directory.py the directory: whose it is, what is in it, how it is filled
    postmaster.py     the running server, as its `postmaster.pid` tells of it
    launch.py         starting and ending it
    socket_folder.py  where its socket lies
    ownership.py      which OS user runs it, and what root opens for that user
    wheel.py          where the programs are
    program.py        running one of them
    notice.py         what the one who asks is told
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upgrader.database.embedded.address import CLUSTER_NAME, embedded_path, is_embedded_url
from upgrader.database.embedded.notice import Notify, unheard
from upgrader.database.embedded.wheel import AVAILABLE_EXTENSIONS, DEFAULT_POSTGRES_VERSION
from upgrader.errors import EmbeddedServerError

__all__ = [
    "AVAILABLE_EXTENSIONS",
    "CLUSTER_NAME",
    "DEFAULT_POSTGRES_VERSION",
    "embedded_path",
    "embedded_server",
    "is_embedded_url",
]


@contextmanager
def embedded_server(
    data: Path, *, postgres_version: int | None = None, notify: Notify = unheard
) -> Iterator[str]:
    """Yield a libpq URI of a running server on `data`; started on demand, stopped after its last living user.

    A missing or empty directory is filled first (about 0.7 s; an existing one starts in 0.1 s). Any
    exception ends the use, also one that a signal handler raises. A process that a signal ends outright
    (SIGKILL, SIGTERM without a handler) leaves the server to the next user, who stops it. A forked child
    is no user: it must not go on with the URI after its parent has left.

    Args:
        data: the data directory, relative to the working directory; missing parents are made.
        postgres_version: major version; None for `DEFAULT_POSTGRES_VERSION`.
        notify: gets one line for each thing done to the machine (as root: OS user made, folder opened), and
            for a server that could not be stopped.

    Raises:
        EmbeddedServerError: no wheel, a directory that is not ours to use, a server that does not start.
    """
    if os.name == "nt":
        raise EmbeddedServerError(
            "the embedded PostgreSQL server is not supported on Windows yet",
            hint="give the URL of a PostgreSQL server, or use WSL",
        )
    # Its modules need `fcntl` and `pwd`, which Windows has not got.
    from upgrader.database.embedded.server import EmbeddedServer

    server = EmbeddedServer(data, postgres_version=postgres_version, notify=notify)
    uri = server.start()
    try:
        yield uri
    finally:
        server.stop()
