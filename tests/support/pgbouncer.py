"""PgBouncer itself, for the tests on a machine that has it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

from psycopg.conninfo import conninfo_to_dict

from tests.support.server import wait_until

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

_SETTINGS = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
server_login_retry = 1
pidfile = {folder}/pid
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(database_url: str, **settings: str) -> Iterator[str]:
    """Run PgBouncer in front of a database and give the URL through it.

    Args:
        settings: `pool_mode="transaction"` and others of its section `[pgbouncer]`.
    """
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="upgrader-pgbouncer-") as name:
        folder, port, info = Path(name), _free_port(), conninfo_to_dict(database_url)
        server = " ".join(
            f"{key}='{value}'" for key, value in info.items() if key not in ("dbname", "options")
        )
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        text = _SETTINGS.format(server=server, port=port, folder=folder) + lines
        (folder / "ini").write_text(text)
        process = subprocess.Popen(
            [PROGRAM, str(folder / "ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_other_user(folder, str(info.get("host", ""))),
        )
        try:
            wait_until(lambda: _listens(port))
            parameters = urlencode({"host": "127.0.0.1", "port": port, "user": info.get("user", "postgres")})
            yield f"postgresql:///{info['dbname']}?{parameters}"
        finally:
            print((folder / "log").read_text())  # pytest shows it where the test fails
            process.terminate()
            process.wait(timeout=30)


def _other_user(folder: Path, host: str) -> dict[str, object]:
    """Give who runs it: it refuses to be root, and has to reach the server's socket."""
    if os.geteuid() != 0:
        return {}
    user = Path(host).owner() if host.startswith("/") else "nobody"
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, user)
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
