"""A run that finds nothing to do, over many workspaces with short and long histories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench.blocks import Times, in_turns, timed
from tests.bench.stage import Stage, make_workspaces, run_program, run_quietly
from tests.support.project import Project

WORKSPACES = 10_000
RUNS = 11
SHORT, LONG = 10, 100
HELP = "upgrader --help"
VERSION = "1.0.0"


@dataclass(frozen=True)
class Pending:
    """What was measured: seconds of whole processes, by name."""

    times: Times
    workspaces: int


def name_of(steps: int) -> str:
    """Name the run over workspaces that have completed so many steps."""
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
        _complete(project, workspaces)
        document = run_program(project, "upgrade")  # writes down how far everybody is
        if document["completed"]:
            raise RuntimeError(f"something was pending: {document}")
        yield project


def _complete(project: Project, workspaces: int) -> None:
    """Write the workspaces and their history as runs would have, set by set: the triggers go row by row."""
    steps = project.api().registry.sequence.steps
    with project.connect() as connection:
        connection.execute("alter table upgrader.history disable trigger user")
        connection.execute(
            "insert into core.workspace select n, 'Workspace ' || n, 'ACTIVE', null"
            f" from generate_series(1, {workspaces}) n".encode()
        )
        connection.execute(
            "insert into upgrader.history (name, kind, version, workspace_id, status, attempt, is_initial,"
            " executed_by_version, checksum, finished_at) select 'start_enrolment', 'workspace', 'start',"
            " id::text, 'completed', 1, true, %s, '', now() from core.workspace order by id",
            [VERSION],
        )
        for step in steps:
            connection.execute(
                "insert into upgrader.history (name, kind, version, workspace_id, status, attempt,"
                " executed_by_version, checksum, finished_at) select %s, %s, %s, id::text, 'completed', 1, %s,"
                " %s, now() from core.workspace order by id",
                [step.name, step.kind.value, step.version.text, VERSION, step.checksum],
            )
        connection.execute("alter table upgrader.history enable trigger user")
        connection.execute("vacuum (analyze) upgrader.history")
        connection.execute("select count(upgrader.rebuild_scope(id::text)::text) from core.workspace")
        connection.execute("vacuum (analyze)")


def measure(stage: Stage, *, quick: bool) -> Pending:
    """Run both, and `--help`, in turns as processes."""
    workspaces = 500 if quick else WORKSPACES
    with ExitStack() as stack:
        short, long = (stack.enter_context(_finished(stage, workspaces, steps)) for steps in (SHORT, LONG))
        times = in_turns(
            {
                HELP: lambda _: timed(lambda: run_quietly(short, "upgrader", "--help")),
                name_of(SHORT): lambda _: timed(lambda: run_quietly(short, "upgrader", "upgrade", "--json")),
                name_of(LONG): lambda _: timed(lambda: run_quietly(long, "upgrader", "upgrade", "--json")),
            },
            blocks=3 if quick else RUNS,
        )
    return Pending(times, workspaces)
