"""A program that starts the command line again and again: it imports the product once and forks for each run.

Each run is a process of its own with the real `main`, its own connections and real signals. The launcher itself
never opens a connection: one that exists at a fork would belong to both.

It reads requests from its standard input, one JSON document per line, and answers each with one line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from tests.reliability.boundaries import Kill, listen
from upgrader import api  # noqa: F401 - imported once, for all runs
from upgrader.cli import app, progress, run  # noqa: F401
from upgrader.cli.render import documents  # noqa: F401


def _serve() -> None:
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        answer = _start(request) if "arguments" in request else _wait(request["pid"], request["seconds"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _start(request: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _be_the_run(request)
    return {"pid": pid}


def _wait(pid: int, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return {"code": os.waitstatus_to_exitcode(status)}
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"code": None}
        time.sleep(0.002)


def _be_the_run(request: dict[str, Any]) -> NoReturn:
    code = 99
    try:
        folder = Path(request["folder"])
        _redirect(0, Path(os.devnull), os.O_RDONLY)
        _redirect(1, folder / "stdout", os.O_WRONLY | os.O_CREAT)
        _redirect(2, folder / "stderr", os.O_WRONLY | os.O_CREAT)
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        os.chdir(request["directory"])
        sys.argv = ["upgrader", *request["arguments"]]
        kill = Kill(**request["kill"]) if request["kill"] else None
        listen(folder / "boundaries", kill, request["url"])
        time.sleep(max(0.0, request["begin_at"] - time.monotonic()))
        code = app.main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(number: int, path: Path, flags: int) -> None:
    opened = os.open(path, flags, 0o600)
    os.dup2(opened, number)
    os.close(opened)


if __name__ == "__main__":
    _serve()
