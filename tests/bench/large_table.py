"""A table of many rows, made anew for each contender, and the two ways to fill a column of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import psycopg

from tests.bench.blocks import timed
from tests.bench.memory import Residence, watch
from tests.bench.stage import start_program
from tests.support.project import Project

TABLE = "core.item"
_UPDATE = f"update {TABLE} set total = net + tax"
_POLL_SECONDS = 0.05
_WINDOW_SECONDS = 2.0
_SUSTAINED_SECONDS = 10.0  # for which the best rate has to be kept: in two seconds a quiet disk makes one


@dataclass
class Course:
    """How far a backfill was at which time, read from its checkpoint by somebody else.

    Attributes:
        samples: seconds since the first sample, and rows done.
    """

    samples: list[tuple[float, int]] = field(default_factory=list)

    def note(self, rows: int) -> None:
        """Add a sample; what is not more than before tells nothing new."""
        now = time.perf_counter()
        if not self.samples:
            self._began = now
        if not self.samples or rows > self.samples[-1][1]:
            self.samples.append((now - self._began, rows))

    def ramp_seconds(self, share: float = 0.9) -> float:
        """Give when this share of the best rate was reached: rates over two seconds, from each sample on."""
        rates = self._rates(_WINDOW_SECONDS)
        sustained = self._rates(_SUSTAINED_SECONDS) or rates
        best = max((rate for _, rate in sustained), default=0.0)
        return next((began for began, rate in rates if rate >= share * best), float("inf"))

    def _rates(self, window_seconds: float) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        end = 0
        for began, rows in self.samples:
            while end < len(self.samples) and self.samples[end][0] < began + window_seconds:
                end += 1
            if end == len(self.samples):
                break
            until, reached = self.samples[end]
            found.append((began, (reached - rows) / (until - began)))
        return found


@dataclass
class Filled:
    """What one run of the program did.

    Attributes:
        seconds: of the step, as the history tells.
    """

    seconds: float
    course: Course
    residence: Residence


class LargeTable:
    """`core.item` of a project, and the program's slow step that fills its column."""

    def __init__(self, project: Project, rows: int) -> None:
        """Make nothing yet."""
        self.project, self.rows = project, rows
        self._numbers = count(1)
        self.step = ""
        with project.connect() as connection:
            connection.execute("create schema if not exists core")

    def make(self) -> None:
        """Make the table anew, vacuumed and flushed: the next one begins as the last one did.

        Autovacuum leaves it alone: the program would wait until it is through, one UPDATE would not.
        """
        with self.project.connect() as connection:
            connection.execute(f"drop table if exists {TABLE}".encode())
            connection.execute(
                f"create table {TABLE} with (autovacuum_enabled = off) as"
                " select n::bigint as id, (n % 1000)::integer as net, (n % 97)::integer as tax,"
                f" null::bigint as total, 'item ' || n as note from generate_series(1, {self.rows}) n".encode()
            )
            connection.execute(f"alter table {TABLE} add primary key (id)".encode())
            connection.execute(f"vacuum (freeze, analyze) {TABLE}".encode())
            connection.execute("checkpoint")

    def plain(self) -> float:
        """Fill the column with one statement: seconds."""
        self.make()
        with self.project.connect() as connection:
            return timed(lambda: connection.execute(_UPDATE.encode()))

    def prepare_backfill(self) -> tuple[str, ...]:
        """Write the command that fills the column, and give the arguments that run it."""
        number = next(self._numbers)
        version = f"1.{number}.0"
        self.project.slow(
            version,
            number,
            f"Fill{number}",
            migrate=f'ctx.backfill("{TABLE}", update="{_UPDATE} where {{batch}}")',
        )
        self.step = f"{version}_Fill{number}_{number}"
        return ("--app-version", version, "upgrade", "--include-slow")

    def backfill(self) -> Filled:
        """Fill the column by the program, from a new table on."""
        self.make()
        arguments = self.prepare_backfill()
        output = self.project.directory / "report.json"
        course = Course()
        process = start_program(self.project, *arguments, output=output)
        with observing(self.project.database_url, course.note):
            residence = watch(process, lambda: course.samples[-1][1] / self.rows if course.samples else 0.0)
        if process.returncode:
            raise RuntimeError(f"the backfill ended with {process.returncode}: {output.read_text()}")
        return Filled(self._seconds(), course, residence)

    def rows_done(self) -> int:
        """Give how far the step at hand is, as its checkpoint tells."""
        found = self.project.query("select rows_done from upgrader.backfill where step = %s", self.step)
        return int(found[0][0]) if found else 0

    def check(self) -> None:
        """See that every row was filled.

        Raises:
            RuntimeError: some were not.
        """
        ((left,),) = self.project.query(
            f"select count(*) from {TABLE} where total is distinct from net + tax"
        )
        if left:
            raise RuntimeError(f"{left} rows were not filled")

    def _seconds(self) -> float:
        ((seconds,),) = self.project.query(
            "select extract(epoch from finished_at - started_at)::float8 from upgrader.history"
            " where name = %s and status = 'completed'",
            self.step,
        )
        return float(seconds)


class observing:  # noqa: N801 - used as a function
    """Read the rows that the backfill at work has done, over and over, on a connection of its own."""

    def __init__(self, url: str, note: Callable[[int], None]) -> None:
        """Open nothing yet."""
        self._url, self._note = url, note
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        """Begin."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(_POLL_SECONDS):
                with suppress(psycopg.errors.UndefinedTable):  # before the very first run
                    row = connection.execute(
                        "select rows_done from upgrader.backfill order by id desc limit 1"
                    ).fetchone()
                    if row is not None:
                        self._note(row[0])
