"""A networked database: a proxy, as a process of its own, that passes everything on a moment later.

`python -m tests.bench.proxy HOST PORT SECONDS` prints the port on which it listens.
"""

from __future__ import annotations

import ctypes
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.bench.blocks import timed

DELAY_SECONDS = 0.000_25
_ROUND_TRIPS = 300
_PR_SET_TIMERSLACK = 29
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Network:
    """A database behind the proxy.

    Attributes:
        added_seconds: what it adds to a round trip, as measured.
    """

    url: str
    added_seconds: float


@contextmanager
def networked(url: str, *, delay_seconds: float = DELAY_SECONDS) -> Iterator[Network]:
    """Give the way to a database through a proxy that adds this delay each way.

    What the proxy costs by itself is taken off: it is measured first, and again for the note.
    """
    with _proxy(url, delay_seconds) as through:
        excess = _added_seconds(url, through) / 2 - delay_seconds
    with _proxy(url, delay_seconds - min(max(0.0, excess), delay_seconds / 2)) as through:
        yield Network(through, _added_seconds(url, through))


def _added_seconds(url: str, through: str) -> float:
    """Give by how much longer a round trip takes through a proxy: median of pairs of `select 1`."""
    with psycopg.connect(url, autocommit=True) as direct, psycopg.connect(through, autocommit=True) as far:
        return statistics.median(
            timed(lambda: far.execute("select 1")) - timed(lambda: direct.execute("select 1"))
            for _ in range(_ROUND_TRIPS)
        )


@contextmanager
def _proxy(url: str, delay_seconds: float) -> Iterator[str]:
    given = conninfo_to_dict(url)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.proxy", *_server_of(given), repr(delay_seconds)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        yield make_conninfo(
            **{**given, "host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable"}
        )
    finally:
        process.kill()
        process.communicate()


def _server_of(given: dict[str, object]) -> tuple[str, str]:
    return str(given.get("host") or "/tmp"), str(given.get("port") or 5432)


def _serve(host: str, port: int, delay_seconds: float) -> None:
    """Pass connections on to the server, for ever."""
    # Sleeps of a quarter of a millisecond are too long by a fifth otherwise.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        server = _connect(host, port)
        for one, other in ((client, server), (server, client)):
            if one.family == socket.AF_INET:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pass_on, args=(one, other, delay_seconds), daemon=True).start()


def _connect(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def _pass_on(one: socket.socket, other: socket.socket, delay_seconds: float) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 20):
            time.sleep(delay_seconds)
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
