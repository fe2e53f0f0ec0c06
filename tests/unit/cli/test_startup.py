"""Help must be fast: it loads nothing heavy."""

import json
import subprocess
import sys

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
