"""How long the program takes to say what it can do: start-up, with imports of the command line alone."""

from __future__ import annotations

import compileall
import importlib
from functools import partial
from pathlib import Path

from tests.bench.blocks import in_turns, timed
from tests.bench.findings import Section, at_most, milliseconds
from tests.bench.stage import Stage, run_quietly
from tests.support.project import Project

RUNS = 21
BAR = 0.6
_PACKAGES = ("upgrader", "alembic", "mako", "sqlalchemy", "typer", "rich", "click", "packaging", "pydantic")


def measure(stage: Stage, *, quick: bool) -> Section:
    """Run both in turns as processes."""
    _compile()
    with stage.project("help") as project:
        times = in_turns(
            {name: partial(_run, project, name) for name in ("upgrader", "alembic")},
            blocks=3 if quick else RUNS,
        )
    told = f"{milliseconds(times.median('upgrader'))} to {milliseconds(times.median('alembic'))}"
    ratio = times.median_ratio("upgrader", "alembic")
    note = f"[^help]: Whole processes, bytecode compiled, in turns; median of the ratios of {RUNS} pairs."
    return Section(
        [at_most("`upgrader --help`, time beside `alembic --help` [^help]", ratio, BAR, told)], [note]
    )


def _run(project: Project, program: str, block: int) -> float:
    del block
    return timed(lambda: run_quietly(project, program, "--help"))


def _compile() -> None:
    """Compile what both import: some installers leave that to the first run."""
    for name in _PACKAGES:
        try:
            package = importlib.import_module(name)
        except ImportError:  # not every version of every library brings the same company
            continue
        compileall.compile_dir(Path(str(package.__file__)).parent, quiet=2)
