"""A program that starts the command line again and again: it imports the product once and forks for each run.

Each run is a process of its own with the real `main`, its own connections and real signals. The launcher itself
never opens a connection: one that exists at a fork would belong to both.

It reads requests from its standard input, one JSON document per line, and answers each with one line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from tests.reliability.boundaries import Kill, listen
from tests.support.forked import import_the_product, redirect_streams, wait_for


def _serve() -> None:
    import_the_product()
    for line in sys.stdin:
        request = json.loads(line)
        answer = (
            _start(request)
            if "arguments" in request
            else {"code": wait_for(request["pid"], request["seconds"])}
        )
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _start(request: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _be_the_run(request)
    return {"pid": pid}


def _be_the_run(request: dict[str, Any]) -> NoReturn:
    code = 99
    try:
        folder = Path(request["folder"])
        redirect_streams(Path(os.devnull), folder)
        os.chdir(request["directory"])
        sys.argv = ["upgrader", *request["arguments"]]
        kill = Kill(**request["kill"]) if request["kill"] else None
        listen(folder / "boundaries", kill, request["url"])
        time.sleep(max(0.0, request["begin_at"] - time.monotonic()))
        from upgrader.cli.app import main

        code = main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
