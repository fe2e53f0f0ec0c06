"""A connection pooler in this process: it hands its few server connections to whoever asks, as PgBouncer does.

It speaks as much of the protocol as a client needs that sends one request at a time: start-up without a
password, simple and extended queries. A server connection is bound to a client from the first message of a
transaction to the ReadyForQuery that ends it (or for the client's life, where it pools by session).
"""

from __future__ import annotations

import os
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

import psycopg

_ENCRYPTION_REQUESTS = (80877103, 80877104)
_ANSWERED = (b"Q", b"S", b"F")  # messages after which the server says ReadyForQuery
_IDLE = b"I"
_REFUSED = "unsupported startup parameter in options: client_connection_check_interval"


@dataclass
class Pooler:
    """A pooler for one database.

    Attributes:
        by_session: whether a client keeps its server connection.
        takes_options: whether a client may send `options`, which are left out then.
    """

    database_url: str
    size: int = 1
    by_session: bool = False
    takes_options: bool = True
    port: int = 0
    _idle: list[psycopg.Connection] = field(default_factory=list)
    _opened: list[psycopg.Connection] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """The URL that a client is given."""
        info = psycopg.conninfo.conninfo_to_dict(self.database_url)
        parameters = {"host": "127.0.0.1", "port": self.port, "user": info.get("user", "postgres")}
        return f"postgresql:///{info.get('dbname', 'postgres')}?{urlencode(parameters)}"

    def acquire(self) -> psycopg.Connection:
        """Give the server connection that was used last, a new one, or the next that comes free."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or len(self._opened) < self.size)
            if not self._idle:
                plain = {"sslmode": "disable", "gssencmode": "disable"}
                opened = psycopg.connect(self.database_url, autocommit=True, **plain)  # type: ignore[arg-type]  # by name
                self._opened.append(opened)
                self._idle.append(opened)
            return self._idle.pop()

    def release(self, server: psycopg.Connection) -> None:
        """Take a server connection back, with whatever its session holds."""
        with self._changed:
            self._idle.append(server)
            self._changed.notify()

    def drop(self, server: psycopg.Connection) -> None:
        """End a server connection together with its client."""
        with self._changed:
            self._opened.remove(server)
            server.close()
            self._changed.notify()

    def close(self) -> None:
        """Close the server connections."""
        for server in self._opened:
            server.close()


class _Client(socketserver.BaseRequestHandler):
    """One client. `server.pooler` is the pooler."""

    server: _Listener

    def handle(self) -> None:
        with suppress(ConnectionError, OSError):
            if self._start():
                self._serve()

    def _start(self) -> bool:
        """Answer the start-up; False where it is refused or something else than a session is wanted."""
        while (code := struct.unpack("!i", (body := self._startup())[:4])[0]) in _ENCRYPTION_REQUESTS:
            self.request.sendall(b"N")
        if code != 196608:  # a CancelRequest
            return False
        pooler = self.server.pooler
        if b"\0options\0" in body and not pooler.takes_options:
            fields = f"SFATAL\0VFATAL\0C08P01\0M{_REFUSED}\0\0".encode()
            self._send(b"E", fields)
            return False
        lent = pooler.acquire()
        version = lent.info.parameter_status("server_version")
        pooler.release(lent)
        self._send(b"R", struct.pack("!i", 0))
        for name, value in (
            ("server_version", version),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
        ):
            self._send(b"S", f"{name}\0{value}\0".encode())
        self._send(b"K", struct.pack("!ii", -4711, 0))  # a key of its own invention
        self._send(b"Z", _IDLE)
        return True

    def _serve(self) -> None:
        pooler, lent = self.server.pooler, None
        try:
            while (message := _message(self.request)) and message[:1] != b"X":
                lent = lent or pooler.acquire()
                with socket.socket(fileno=os.dup(lent.fileno())) as server:
                    server.setblocking(True)
                    server.sendall(message)
                    if message[:1] in _ANSWERED and self._relay(server) == _IDLE and not pooler.by_session:
                        pooler.release(lent)
                        lent = None
        finally:
            if lent is not None:
                pooler.drop(lent)

    def _relay(self, server: socket.socket) -> bytes:
        """Pass the answer on to its end and give the state of the transaction."""
        while True:
            message = _message(server)
            self.request.sendall(message)
            if message[:1] == b"Z":
                return message[5:6]

    def _startup(self) -> bytes:
        (length,) = struct.unpack("!i", _exactly(self.request, 4))
        return _exactly(self.request, length - 4)

    def _send(self, kind: bytes, body: bytes) -> None:
        self.request.sendall(kind + struct.pack("!i", len(body) + 4) + body)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, pooler: Pooler) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self.pooler = pooler


@contextmanager
def pooling(
    database_url: str, *, size: int = 1, by_session: bool = False, takes_options: bool = True
) -> Iterator[Pooler]:
    """Run a pooler for as long as the block lasts."""
    pooler = Pooler(database_url, size, by_session, takes_options)
    with _Listener(pooler) as listener:
        pooler.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield pooler
        finally:
            listener.shutdown()
            thread.join()
            pooler.close()


def _message(source: socket.socket) -> bytes:
    """Give one whole message; raises where the other side has left."""
    head = _exactly(source, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head + _exactly(source, length - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        select.select([source], [], [])  # the copy of libpq's socket shares its non-blocking mode
        piece = source.recv(count - len(found))
        if not piece:
            raise ConnectionError
        found += piece
    return found
