"""An application at work while a backfill runs: how long its updates of random rows take.

`python -m tests.bench.client URL ROWS SECONDS` prints the seconds of each update as JSON.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.bench.findings import Row, Section, milliseconds
from tests.bench.large_table import TABLE, LargeTable
from tests.bench.stage import Stage, start_program

ROWS = 10_000_000
INTERVAL_SECONDS = 0.005
BLOCKS = 6
"""So often it works alone and then beside the held backfill: what the disk does at the time meets both."""
ALONE_SECONDS, HELD_SECONDS, FREE_SECONDS = 6.0, 9.0, 15.0
BATCH_SECONDS = 0.05
P99_BAR, GRACE_SECONDS = 3.0, 0.1
_UNDER_WAY_SECONDS = 60.0
_ENDING_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Latencies:
    """Seconds of each update, from when it was due."""

    seconds: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """Give the time that this share of them did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def text(self) -> str:
        """Tell p50, p99 and the longest."""
        p50, p99 = milliseconds(statistics.median(self.seconds)), milliseconds(self.quantile(0.99))
        return f"p50 {p50}, p99 {p99}, longest {milliseconds(max(self.seconds))}"


@dataclass(frozen=True)
class Beside:
    """The client beside a backfill.

    Attributes:
        rows_per_second: of the backfill.
        ended_early: whether it was through before the client was.
    """

    latencies: Latencies
    rows_per_second: float
    ended_early: bool

    @property
    def text(self) -> str:
        """Tell how fast the backfill was."""
        if self.ended_early:
            return f"at least {self.rows_per_second:,.0f} rows a second, **through too early**"
        return f"{self.rows_per_second:,.0f} rows a second"


def measure(stage: Stage, *, quick: bool) -> Section:
    """Let the client work alone and beside a held backfill, in turns, and beside one at full speed."""
    rows = 300_000 if quick else ROWS
    blocks, alone_seconds, held_seconds, free_seconds = (
        (2, 0.5, 0.5, 0.5) if quick else (BLOCKS, ALONE_SECONDS, HELD_SECONDS, FREE_SECONDS)
    )
    alone: list[Latencies] = []
    held: list[Beside] = []
    with stage.project("client") as project:
        table = LargeTable(project, rows)
        free_rate = rows / table.backfill().seconds
        table.make()
        project.configure(backfill={"batch_seconds": BATCH_SECONDS})
        arguments = table.prepare_backfill()
        limit = ("--max-rows-per-second", str(round(free_rate / 3)))
        for _ in range(blocks):
            alone.append(_work(table, alone_seconds))
            held.append(_beside(table, (*arguments, *limit), held_seconds))
        free = _beside(table, arguments, free_seconds)
    return Section(
        [
            *_held_rows(held, alone, rows),
            Row(
                "The same client, the backfill at full speed",
                "",
                f"{free.latencies.text} ({free.text})",
                None,
            ),
        ],
        [
            f"[^client]: A process of its own; it updates a row every {milliseconds(INTERVAL_SECONDS)}, by primary key,"
            " each in a transaction; times count from when it was due. Autovacuum is off for the table. Batches of"
            f" {milliseconds(BATCH_SECONDS)} at the most. {blocks} times in turns; p99 is the median of theirs. Alone:"
            f" {_whole(alone).text}; held: {_whole([block.latencies for block in held]).text}.",
        ],
    )


def _whole(blocks: Sequence[Latencies]) -> Latencies:
    return Latencies(tuple(seconds for block in blocks for seconds in block.seconds))


def _median_p99(blocks: Sequence[Latencies]) -> float:
    return statistics.median(block.quantile(0.99) for block in blocks)


def _held_rows(held: Sequence[Beside], alone: Sequence[Latencies], rows: int) -> list[Row]:
    latencies = [block.latencies for block in held]
    ended_early = any(block.ended_early for block in held)
    rate = statistics.median(block.rows_per_second for block in held)
    what = (
        f"A client that updates random rows of {rows:,} while a backfill is held to a third of its free rate"
    )
    p99, p99_alone, longest = _median_p99(latencies), _median_p99(alone), max(_whole(latencies).seconds)
    longest_bar = BATCH_SECONDS + GRACE_SECONDS
    return [
        Row(
            f"{what}: its p99 beside that without the backfill [^client]",
            f"≤ {P99_BAR:g}x",
            f"{p99 / p99_alone:.1f}x ({milliseconds(p99)} to {milliseconds(p99_alone)};"
            f" {Beside(_whole(latencies), rate, ended_early).text})",
            p99 <= P99_BAR * p99_alone and not ended_early,
        ),
        Row(
            f"{what}: its longest wait [^client]",
            f"≤ {milliseconds(longest_bar)}",
            milliseconds(longest),
            longest <= longest_bar and not ended_early,
        ),
    ]


def _work(table: LargeTable, seconds: float) -> Latencies:
    """Let the client work for so long."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.bench.client",
            table.project.database_url,
            str(table.rows),
            str(seconds),
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    return Latencies(tuple(json.loads(done.stdout)))


def _beside(table: LargeTable, arguments: tuple[str, ...], seconds: float) -> Beside:
    """Let the client work beside the backfill, which is stopped then."""
    output = table.project.directory / "report.json"
    begun_with = table.rows_done()
    process = start_program(table.project, *arguments, output=output)
    try:
        _wait_until_under_way(table, begun_with, process)
        rows, started = table.rows_done(), time.perf_counter()
        latencies = _work(table, seconds)
        ended_early = process.poll() is not None
        # Its checkpoint goes with its end.
        done = table.rows if ended_early else table.rows_done()
        rate = (done - rows) / (time.perf_counter() - started)
    finally:
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored by whoever was started in the background
        process.wait(_ENDING_SECONDS)
    return Beside(latencies, rate, ended_early)


def _wait_until_under_way(table: LargeTable, begun_with: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _UNDER_WAY_SECONDS
    while table.rows_done() <= begun_with and process.poll() is None:
        if time.monotonic() > deadline:
            raise RuntimeError("the backfill did not begin")
        time.sleep(0.05)


def _update(url: str, rows: int, seconds: float) -> list[float]:
    """Update a random row at each interval; one that is late begins as soon as it can."""
    statement = f"update {TABLE} set note = 'by the client' where id = %s".encode()
    found: list[float] = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        began = time.perf_counter()
        for number in range(round(seconds / INTERVAL_SECONDS)):
            due = began + number * INTERVAL_SECONDS
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            connection.execute(statement, [random.randint(1, rows)])
            found.append(time.perf_counter() - due)
    return found


if __name__ == "__main__":
    print(json.dumps(_update(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
