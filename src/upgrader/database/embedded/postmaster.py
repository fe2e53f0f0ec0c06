"""The server process of a data directory, as `postmaster.pid` tells of it."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from upgrader.database.embedded.socket_folder import socket_file

_ANSWER_SECONDS = 5.0
# Asks whether the server speaks TLS: the shortest question of the protocol, answered by yes or no before any login.
_SSL_REQUEST = struct.pack("!II", 8, 80877103)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What the file says; the process need not be alive.

    Attributes:
        pid: its process number; negative for a single-user backend.
        socket_folder: where its socket is; None while it has not got one, or has none.
        port: part of the socket's name.
        status: `starting`, `ready`, `standby`, `stopping`, or empty in its first moments.
    """

    pid: int
    socket_folder: Path | None
    port: int
    status: str

    @classmethod
    def read(cls, data: Path) -> Postmaster | None:
        """Read the file of `data`; None if there is none, or it is not written yet."""
        try:
            lines = pid_file(data).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        fields = [line.strip() for line in lines] + [""] * 8
        if not fields[0].lstrip("-").isdigit():
            return None
        port = int(fields[3]) if fields[3].isdigit() else 0
        # A relative folder is relative to the data directory, in which the server works.
        folder = data / fields[4] if fields[4] else None
        return cls(int(fields[0]), folder, port, fields[7])

    @property
    def is_ready(self) -> bool:
        """Whether it says that it takes connections."""
        return self.status == "ready"

    def is_alive(self) -> bool:
        """Tell whether a PostgreSQL process has this number: after a reboot another program may have it."""
        if not self._number_exists():
            return False
        try:
            text = Path(f"/proc/{abs(self.pid)}/stat").read_text(errors="replace")
        except OSError:
            return True  # no /proc here (macOS) or it is hidden: believe the file, as PostgreSQL does
        name, _, rest = text.partition("(")[2].rpartition(")")
        # A zombie: killed, and in a container whose first process collects nobody.
        return name == "postgres" and rest.split()[:1] != ["Z"]

    def blocks_start(self) -> bool:
        """Tell whether PostgreSQL takes the dead server for alive and will not start: its number exists."""
        return self._number_exists() and not self.is_alive()

    def answers(self) -> bool:
        """Tell whether it listens on its socket, also while it starts or stops, and replies when it is ready."""
        if self.socket_folder is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_ANSWER_SECONDS)
            try:
                probe.connect(str(socket_file(self.socket_folder, self.port)))
                if self.is_ready:
                    # A server that was killed a moment ago still has its socket, but replies to nobody.
                    probe.sendall(_SSL_REQUEST)
                    return probe.recv(1) in (b"N", b"S")
            except OSError:
                return False
        return True

    def _number_exists(self) -> bool:
        try:
            os.kill(abs(self.pid), 0)
        except (ProcessLookupError, PermissionError):
            return False  # not permitted: another OS user's process, so not this server
        return True


def pid_file(data: Path) -> Path:
    """Give the file in which a running server of `data` writes about itself."""
    return data / "postmaster.pid"
