"""`docs/RUNTIME.md`: its examples are run, and its table names tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.documents import Block, Workbench, blocks_of, shell_environment
from tests.support.project import Project

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "docs" / "RUNTIME.md"
_TABLE = "Where everything of the two documents is"
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}
_FIGURE = re.compile(r"""[`"](upgrader_[a-z_]+)[`"]""")
_PARTS = [(part, list(blocks)) for part, blocks in groupby(blocks_of(RUNTIME), key=lambda block: block.part)]


@pytest.mark.parametrize("blocks", [blocks for _, blocks in _PARTS], ids=[part for part, _ in _PARTS])
def test_the_guide_of_the_runtime_does_what_it_says(
    blocks: list[Block], project: Project, monkeypatch: pytest.MonkeyPatch
):
    """Each part in a directory and a database of its own; Python in it reaches the database by libpq's variables."""
    given = {
        key: str(value) for key, value in conninfo_to_dict(project.database_url).items() if value is not None
    }
    variables = {_VARIABLES[key]: value for key, value in given.items() if key in _VARIABLES}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    environment = shell_environment(
        project.home, UPGRADER_DATABASE_URL=project.database_url, COLUMNS="120", **variables
    )
    (project.directory / "upgrader.toml").unlink()
    Workbench(project.directory, environment, project.database_url).run(blocks)


def rows() -> list[tuple[str, str, str]]:
    """Give the rows of the tables: what the documents name, what it is here, its tests."""
    text = RUNTIME.read_text(encoding="utf-8").partition(f"## {_TABLE}")[2]
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and not set(cells[0]) <= {"-"} and cells[2] != "test":
            found.append((cells[0], cells[1], cells[2]))
    return found


@cache
def names_in(path: str) -> frozenset[str]:
    """Give the tests of a file, those of classes as `Class::test`."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(found)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_each_row_has_a_test(row: tuple[str, str, str]):
    """It says what it is here, or that and why it was not taken over, and the test that it names is there."""
    named, here, tests = row
    assert named
    assert here
    found = re.findall(r"`([^`]+)::([^`]+)`", tests)
    assert found, f"{named}: no test is named"
    for path, name in found:
        assert name in names_in(f"tests/{path}"), f"{named}: tests/{path} has no {name}"


def test_the_page_names_every_figure():
    """Those that Prometheus may read, and no others."""
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/upgrader/worker/metrics").glob("*.py")
    )
    watching = RUNTIME.read_text(encoding="utf-8").partition("## Watching it")[2].partition("\n## ")[0]
    told = {name for line in watching.splitlines() if line.startswith("|") for name in _FIGURE.findall(line)}
    assert told == set(_FIGURE.findall(source))
