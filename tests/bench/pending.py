"""A run that finds nothing to do, over very many workspaces with short and long histories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.blocks import in_turns, timed
from tests.bench.findings import Row, Section, at_most
from tests.bench.long_history import load_history
from tests.bench.stage import Stage, make_workspaces, run_program, run_quietly
from tests.support.project import Project

WORKSPACES = 100_000
RUNS = 11
SHORT, LONG = 10, 100
HELP = "upgrader --help"
VERSION = "1.0.0"
OVER_HELP_BAR_SECONDS, LENGTH_BAR = 2.0, 1.3


def measure(stage: Stage, *, quick: bool) -> Section:
    """Run `upgrade` over both, and `--help`, in turns as processes."""
    workspaces = 500 if quick else WORKSPACES
    long, short = _name(LONG), _name(SHORT)
    with ExitStack() as stack:
        projects = {
            steps: stack.enter_context(_finished(stage, workspaces, steps)) for steps in (SHORT, LONG)
        }
        times = in_turns(
            {
                HELP: lambda _: timed(lambda: run_quietly(projects[SHORT], "upgrader", "--help")),
                short: lambda _: timed(lambda: run_quietly(projects[SHORT], "upgrader", "upgrade", "--json")),
                long: lambda _: timed(lambda: run_quietly(projects[LONG], "upgrader", "upgrade", "--json")),
            },
            blocks=3 if quick else RUNS,
        )
    over = times.median(long) - times.median(HELP)
    what = f"Nothing pending, {workspaces:,} workspaces, {LONG} completed steps each"
    return Section(
        [
            Row(
                f"{what}: time over that of `upgrader --help` [^pending]",
                f"≤ {OVER_HELP_BAR_SECONDS:.0f} s",
                f"{over:.2f} s ({times.median(long):.2f} s to {times.median(HELP):.2f} s)",
                over <= OVER_HELP_BAR_SECONDS,
            ),
            at_most(
                f"{what}: time beside {SHORT} steps each",
                times.median_ratio(long, short),
                LENGTH_BAR,
                f"{times.median(long):.2f} s to {times.median(short):.2f} s",
            ),
        ],
        [
            f"[^pending]: Whole processes of `upgrader upgrade`, in turns; medians of {len(times.seconds[HELP])}. Each"
            " step is a command in a file of its own, loaded and checked in every run; the long history has"
            f" {workspaces * LONG:,} rows and more.",
        ],
    )


def _name(steps: int) -> str:
    return f"upgrader upgrade, {steps} steps"


@contextmanager
def _finished(stage: Stage, workspaces: int, steps: int) -> Iterator[Project]:
    """Give a project in which every workspace has completed all of its steps."""
    with stage.project(f"pending{steps}") as project:
        make_workspaces(project, 0, with_schemas=False)
        for number in range(steps):
            project.workspace(VERSION, number + 1, f"Step{number}")
        project.configure(app_version=VERSION)
        run_program(project, "upgrade")  # the history, with the mark of the instance
        load_history(project, workspaces, version=VERSION)
        document = run_program(project, "upgrade")  # writes down how far everybody is
        if document["completed"]:
            raise RuntimeError(f"something was pending: {document}")
        yield project
