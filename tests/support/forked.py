"""Runs the command line to its end in forks of one process that has imported the product.

Each run is a process of its own with the real `main`, its own environment, directory and connections; only the
half second of imports is not paid for again. The process that forks never opens a connection.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

_ROOT = Path(__file__).resolve().parents[2]
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


class ForkingProgram:
    """The process that forks; started with the first run, ended with this one."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], given: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `upgrader` to its end.

        Raises:
            subprocess.TimeoutExpired: it took longer than `timeout` seconds and was killed.
        """
        with tempfile.TemporaryDirectory(prefix="upgrader-run-") as name, self._turn:
            folder = Path(name)
            (folder / "stdin").write_text(given, encoding="utf-8")
            code = self._ask(
                arguments=list(arguments), cwd=str(cwd), env=dict(env), folder=name, timeout=timeout
            )
            stdout, stderr = (
                (folder / stream).read_text(encoding="utf-8") for stream in ("stdout", "stderr")
            )
        if code is None:
            raise subprocess.TimeoutExpired(["upgrader", *arguments], timeout, stdout, stderr)
        return subprocess.CompletedProcess(["upgrader", *arguments], code, stdout, stderr)

    def _ask(self, **request: Any) -> int | None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forked"],
                cwd=_ROOT,
                env={key: os.environ[key] for key in _INHERITED if key in os.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self._process.stdin.close)  # type: ignore[union-attr] # a pipe was asked for
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code: int | None = json.loads(self._process.stdout.readline())
        return code


def _serve() -> None:
    import_the_product()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_run(request)
        sys.stdout.write(json.dumps(wait_for(pid, request["timeout"])) + "\n")
        sys.stdout.flush()


def import_the_product() -> None:
    """Import what a run of any verb needs, before the forks."""
    import alembic.autogenerate  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    from upgrader import api  # noqa: F401
    from upgrader.cli import app, progress, run  # noqa: F401
    from upgrader.cli.render import documents  # noqa: F401


def wait_for(pid: int, seconds: float) -> int | None:
    """Wait for the end of a child and give its exit code, negative for a signal; None where it had to be killed."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.01)


def _be_the_run(request: dict[str, Any]) -> NoReturn:
    folder = Path(request["folder"])
    redirect_streams(folder / "stdin", folder)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    # A program has its own folder first on its path, never the directory that it is called in.
    given = [
        str(Path(one).absolute()) for one in request["env"].get("PYTHONPATH", "").split(os.pathsep) if one
    ]
    sys.path[:1] = [str(Path(sys.executable).parent), *given]
    sys.argv = [str(Path(sys.executable).with_name("upgrader")), *request["arguments"]]
    from upgrader.cli.app import main

    # Ends as a program does: what is registered for the end of the process runs.
    sys.exit(main())


def redirect_streams(stdin: Path, folder: Path) -> None:
    """Read standard input from a file, write the other two to `stdout` and `stderr` in `folder`."""
    for number, path, flags in (
        (0, stdin, os.O_RDONLY),
        (1, folder / "stdout", os.O_WRONLY | os.O_CREAT),
        (2, folder / "stderr", os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", closefd=False
    )


if __name__ == "__main__":
    _serve()
