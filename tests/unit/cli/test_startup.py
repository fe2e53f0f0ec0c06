"""Help must be fast: it loads nothing heavy."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = {"sqlalchemy", "psycopg", "pydantic", "packaging", "alembic"}
PROGRAM = """
import json, sys
from upgrader.cli.app import main
sys.argv = ["upgrader", *sys.argv[1:]]
code = main()
sys.stderr.write(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        [],
        ["upgrade", "--help"],
        ["workspace", "--help"],
        ["workspace", "run", "-h"],
        ["jobs", "list", "--help"],
        ["--version"],
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    code, loaded = json.loads(done.stderr)
    assert code == 0
    assert done.stdout.startswith(("Usage: upgrader", "upgrader "))
    assert HEAVY.intersection(loaded) == set()


def test_every_verb_has_a_help_that_fits_its_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "upgrader", "--help"], capture_output=True, text=True, check=True
    )
    verbs = done.stdout.partition("Commands:")[2].partition("Exit codes")[0]
    assert "..." not in verbs
    assert [line.split()[0] for line in verbs.splitlines() if line.strip()] == [
        "init",
        "generate",
        "list",
        "check",
        "plan",
        "preflight",
        "sql",
        "upgrade",
        "downgrade",
        "status",
        "history",
        "why",
        "baseline",
        "prune",
        "demo",
        "workspace",
        "backfill",
        "worker",
        "jobs",
    ]


def test_ctrl_c_while_it_is_loaded(tmp_path: Path) -> None:
    """It ends at once by the signal, and says nothing: there is nothing to say yet."""
    ready = tmp_path / "ready"
    (tmp_path / "typer.py").write_text(
        f"import pathlib, time\npathlib.Path({str(ready)!r}).touch()\ntime.sleep(60)\n", encoding="utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "upgrader", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not ready.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (-signal.SIGINT, b"")
