"""What all cases need, and the rules that every killed run is measured by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.reliability.boundaries import LOCK, SIGKILL, Boundary, Kill
from tests.reliability.harness import Ended, Launcher
from tests.reliability.state import State, differences, read_state, state_between_runs
from tests.support.server import PostgresServer

UPGRADE = ("upgrade", "--include-slow")
LANES = (*UPGRADE, "--jobs", "4")
DOWNGRADE = ("downgrade", "--to", "1.0.0", "--yes")
SOME_STEPS = ("downgrade", "--steps", "8", "--yes")
_MOST_RUNS = 8


@dataclass(frozen=True)
class Stage:
    """A server with a database to copy.

    Attributes:
        template: the database before its run.
        wanted: what an undisturbed run makes of it.
        boundaries: those of the undisturbed run.
        seconds: how long the undisturbed run took.
        arguments: those of the run.
    """

    server: PostgresServer
    template: str
    launcher: Launcher
    wanted: State
    boundaries: list[Boundary]
    seconds: float
    arguments: tuple[str, ...] = UPGRADE

    @contextmanager
    def database(self, **tuning: float) -> Iterator[str]:
        """Give a database before its run.

        Args:
            tuning: seconds that a `commit`, a row of an `index` or a `batch` takes.
        """
        with self.server.database(template=self.template) as url:
            tune(url, **tuning)
            yield url

    def check_end(self, url: str) -> None:
        """Check that a database is as after an undisturbed run."""
        told = differences(read_state(url), self.wanted)
        assert told == [], "\n".join(told)

    def finish(self, url: str, kills: list[Kill]) -> list[Ended]:
        """Run until it is through, killing once more at each of `kills`; then check the end."""
        runs: list[Ended] = []
        waiting = list(kills)
        while not runs or runs[-1].code != 0 or runs[-1].kill is not None:
            assert len(runs) < _MOST_RUNS, f"not through after {len(runs)} runs: {runs[-1]}"
            kill = waiting.pop(0) if waiting else None
            runs.append(self.launcher.run(url, *self.arguments, kill=kill))
            check_ended(runs[-1], kill)
            # Once its steps are taken back, `--steps N` means the next ones: nobody types it again then.
            if "--steps" in self.arguments and not differences(state_between_runs(url), self.wanted):
                break
        self.check_end(url)
        return runs


def check_ended(run: Ended, kill: Kill | None) -> None:
    """Check how a run ended that may have been killed."""
    if run.kill is None or kill is None:
        assert run.code == 0, f"a run that nobody killed: {run}"
        return
    if kill.how == SIGKILL:
        assert run.code == -9, run
        return
    check_terminated(run)
    if kill.target == LOCK or (kill.target == "own" and run.kill.role == LOCK):
        after = run.completions_after_kill()
        # A step that was in progress may come to its end, in each lane.
        assert all(times == 1 for times in Counter(pid for pid, _ in after).values()), (
            f"went on without the run lock: {after}"
        )


def check_terminated(run: Ended) -> None:
    """Check what a run said whose session was terminated; it may not have needed the session any more.

    One that was terminated before the run had begun could not connect.
    """
    assert "Traceback" not in run.stderr, run.stderr
    assert run.code in (0, 1) or (run.code == 2 and "cannot connect" in run.stderr), run
    if run.code != 0:
        assert "error: " in run.stderr, run
        assert "hint: " in run.stderr, run


def tune(url: str, **seconds: float) -> None:
    """Say how long something takes in the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        for what, value in seconds.items():
            connection.execute("update core.tuning set seconds = %s where what = %s", [value, what])
