"""A column for each of very many workspaces: the program beside a hand-written loop, Alembic, django-tenants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from tests.bench.blocks import Times, in_turns, timed
from tests.bench.findings import Row, Section, at_least, milliseconds
from tests.bench.peers.alembic import alembic_contender
from tests.bench.peers.loop import Loop
from tests.bench.peers.tenants import EXECUTORS, PROCESSES, open_tenants, versions
from tests.bench.proxy import networked
from tests.bench.stage import Stage, make_workspaces, run_program
from tests.support.project import Project

WORKSPACES, ALEMBIC_WORKSPACES, TENANTS = 1000, 200, 50
BLOCKS, NETWORK_BLOCKS = 7, 5
JOBS = 4
LOOP_BAR, THREADS_BAR, NETWORK_BAR = 0.75, 0.85, 1.2
ALEMBIC_BAR, TENANTS_BAR = 10, 20

ONE, MANY = "upgrader, one at a time", f"upgrader, {JOBS} at a time"
PROCESS = "upgrader, the whole process"
LOOP, THREADS = "psycopg loop", f"psycopg loop, {JOBS} threads"
ALEMBIC = "alembic"


@dataclass
class Program:
    """`upgrader upgrade` for a version with one more column, as a process.

    Attributes:
        process_seconds: of each run so far, by workspace, with the start of the process.
    """

    project: Project
    workspaces: int
    process_seconds: list[float] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def contender(self, *, jobs: int = 1, url: str | None = None) -> Callable[[int], float]:
        """Give what runs a block: the run's own seconds, lock held, by workspace."""

        def block(_: int) -> float:
            number = next(self._numbers)
            column = f"alter table item add column upgrader_{number} integer"
            self.project.workspace(f"1.{number}.0", number, f"AddColumn{number}", column)
            arguments = ("--app-version", f"1.{number}.0", "upgrade", "--jobs", str(jobs))
            document: dict[str, object] = {}
            seconds = timed(lambda: document.update(run_program(self.project, *arguments, url=url)))
            if document["completed"] != self.workspaces:
                raise RuntimeError(f"not all workspaces were upgraded: {document}")
            self.process_seconds.append(seconds / self.workspaces)
            return float(str(document["seconds"])) / self.workspaces

        return block

    def process(self, _: int) -> float:
        """Give the time of the process whose run was measured just now."""
        return self.process_seconds[-1]


def measure(stage: Stage, *, quick: bool) -> Section:
    """Run all of them in turns on one server, each adding a column to every schema."""
    workspaces, alembic_workspaces, tenants = (
        (100, 20, 5) if quick else (WORKSPACES, ALEMBIC_WORKSPACES, TENANTS)
    )
    with stage.project("columns") as project, open_tenants(stage, tenants) as peer:
        make_workspaces(project, workspaces, with_schemas=True)
        program, loop, url = Program(project, workspaces), Loop(project, workspaces), project.database_url
        with alembic_contender(project, alembic_workspaces) as alembic:
            times = in_turns(
                {
                    LOOP: loop.contender(url),
                    ONE: program.contender(),
                    PROCESS: program.process,
                    THREADS: loop.contender(url, threads=JOBS),
                    MANY: program.contender(jobs=JOBS),
                    ALEMBIC: alembic,
                    **{executor: peer.contender(executor) for executor in EXECUTORS},
                },
                blocks=2 if quick else BLOCKS,
            )
        if not peer.columns():
            raise RuntimeError("django-tenants added no columns")
    return Section(_rows(times, workspaces), _notes(times, alembic_workspaces, tenants))


def measure_networked(stage: Stage, *, quick: bool) -> Section:
    """Run program and loop in turns through a proxy that is as slow as a network."""
    workspaces = 50 if quick else WORKSPACES
    with stage.project("network") as project, networked(project.database_url) as network:
        make_workspaces(project, workspaces, with_schemas=True)
        program, loop = Program(project, workspaces), Loop(project, workspaces)
        times = in_turns(
            {LOOP: loop.contender(network.url), ONE: program.contender(url=network.url)},
            blocks=2 if quick else NETWORK_BLOCKS,
        )
    what = f"{workspaces:,} workspaces, a column each, `--jobs 1`, through a network: rate beside a loop [^network]"
    note = (
        f"[^network]: {len(times.seconds[LOOP])} blocks of each in turns. Both go through a proxy, a process of its"
        " own, that passes every message on 0.25 ms later, each way; measured with `select 1`, it adds"
        f" {milliseconds(network.added_seconds)} to a round trip. The loop waits for five answers for each workspace,"
        " the program for two."
    )
    return Section([_beside(what, times, LOOP, ONE, NETWORK_BAR)], [note])


def _beside(what: str, times: Times, peer: str, program: str, bar: float) -> Row:
    told = (
        f"median of pairs {times.median_ratio(peer, program):.2f}x;"
        f" {_rate(times, program)} to {_rate(times, peer)} workspaces a second"
    )
    return at_least(what, times.total_ratio(peer, program), bar, told)


def _rows(times: Times, workspaces: int) -> list[Row]:
    what = f"{workspaces:,} workspaces, a column each"
    one = _beside(f"{what}, `--jobs 1`: rate beside a psycopg loop [^loop]", times, LOOP, ONE, LOOP_BAR)
    many = f"{what}, `--jobs {JOBS}`: rate beside"
    return [
        one,
        _beside(f"{many} the same loop on {JOBS} threads [^loop]", times, THREADS, MANY, THREADS_BAR),
        _beside(f"{many} Alembic's `command.upgrade` [^alembic]", times, ALEMBIC, MANY, ALEMBIC_BAR),
        *(
            _beside(
                f"{many} `migrate_schemas`, {executor} executor [^tenants]",
                times,
                executor,
                MANY,
                TENANTS_BAR,
            )
            for executor in EXECUTORS
        ),
    ]


def _notes(times: Times, alembic_workspaces: int, tenants: int) -> list[str]:
    whole = times.total_ratio(LOOP, PROCESS)
    return [
        f"[^loop]: {len(times.seconds[LOOP])} blocks of each in turns, on the same schemas; total time by total time."
        " The program is `upgrader upgrade` as a process; its time is that of the run as its report gives it: from"
        " the run lock being held to the end, with survey, plan, all steps and the survey after them (with the"
        f" start of the process, `--jobs 1` comes to {whole:.2f}x). The loop sends `begin`, `set local search_path`,"
        " `alter table`, the insertion of a history row and `commit`, without prepared statements, on one connection"
        " or on one for each thread, and checks nothing; the program looks at each workspace's row again, resets the"
        " session, checks that the command left nothing behind, and keeps the summary of each workspace.",
        f"[^alembic]: One process with everything imported, one connection for all, {alembic_workspaces:,} schemas in"
        " each block; the schema in `config.attributes`, a version table in each schema. Times per schema.",
        f"[^tenants]: {versions()} in a virtual environment of its own, {tenants} tenants with one app of one table;"
        f" imports are not counted. The multiprocessing executor has {PROCESSES} processes. Times per tenant.",
    ]


def _rate(times: Times, name: str) -> str:
    rate = len(times.seconds[name]) / sum(times.seconds[name])
    return f"{rate:,.0f}" if rate >= 20 else f"{rate:.1f}"
