"""docs/BENCHMARKS.md, written from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import pending, rate
from tests.bench.blocks import Times
from tests.bench.locks import Held
from tests.bench.memory import Memory
from tests.bench.pending import Pending
from tests.bench.rate import Rates

HELP_BAR = 0.6
LOOP_BAR, ALEMBIC_BAR = 0.7, 5.0
OVER_HELP_BAR_SECONDS, LENGTH_BAR = 1.0, 1.3
LOCK_GRACE_SECONDS = 0.5
MEMORY_BAR = 200 * 10**6


@dataclass(frozen=True)
class Row:
    """A line of the table: what, the bar, what was measured, whether that is good enough."""

    what: str
    bar: str
    measured: str
    is_met: bool

    @property
    def text(self) -> str:
        """The line."""
        return f"| {self.what} | {self.bar} | {self.measured} | {'yes' if self.is_met else '**no**'} |"


@dataclass(frozen=True)
class Findings:
    """All that was measured."""

    machine: Sequence[tuple[str, str]]
    help: Times
    rates: Rates
    pending: Pending
    memory: Memory
    locks: Held

    @property
    def rows(self) -> list[Row]:
        """The table."""
        return [self._help(), *self._rates(), *self._pending(), self._memory(), self._locks()]

    def _help(self) -> Row:
        ratio = self.help.median_ratio("upgrader", "alembic")
        return Row(
            "`upgrader --help`, time beside `alembic --help` [^help]",
            f"≤ {HELP_BAR}x",
            f"{ratio:.2f}x ({_ms(self.help.median('upgrader'))} to {_ms(self.help.median('alembic'))})",
            ratio <= HELP_BAR,
        )

    def _rates(self) -> list[Row]:
        times = self.rates.times
        loop = times.total_ratio(rate.LOOP, rate.PROGRAM_RUN)
        alembic = times.total_ratio(rate.ALEMBIC, rate.PROGRAM_RUN)
        process = times.total_ratio(rate.LOOP, rate.PROGRAM_PROCESS)
        what = f"{self.rates.workspaces:,} workspaces, one step each that adds a column: rate beside"
        median = times.median_ratio(rate.LOOP, rate.PROGRAM_RUN)
        each = (
            f"{_per_second(times, rate.PROGRAM_RUN)} to {_per_second(times, rate.LOOP)} workspaces a second"
        )
        return [
            Row(
                f"{what} a hand-written psycopg loop [^rate]",
                f"≥ {LOOP_BAR}x",
                f"{loop:.2f}x (median of pairs {median:.2f}x, whole process {process:.2f}x; {each})",
                loop >= LOOP_BAR,
            ),
            Row(
                f"{what} Alembic's `command.upgrade` in a loop [^alembic]",
                f"≥ {ALEMBIC_BAR:.0f}x",
                f"{alembic:.1f}x ({_per_second(times, rate.ALEMBIC)} workspaces a second)",
                alembic >= ALEMBIC_BAR,
            ),
        ]

    def _pending(self) -> list[Row]:
        times = self.pending.times
        short, long = pending.name_of(pending.SHORT), pending.name_of(pending.LONG)
        over = times.median(long) - times.median(pending.HELP)
        ratio = times.median_ratio(long, short)
        what = f"Nothing pending, {self.pending.workspaces:,} workspaces, {pending.LONG} completed steps each"
        return [
            Row(
                f"{what}: time over that of `upgrader --help` [^pending]",
                f"≤ {OVER_HELP_BAR_SECONDS:.0f} s",
                f"{over:.2f} s ({times.median(long):.2f} s to {times.median(pending.HELP):.2f} s)",
                over <= OVER_HELP_BAR_SECONDS,
            ),
            Row(
                f"{what}: time beside {pending.SHORT} steps each",
                f"≤ {LENGTH_BAR}x",
                f"{ratio:.2f}x ({times.median(long):.2f} s to {times.median(short):.2f} s)",
                ratio <= LENGTH_BAR,
            ),
        ]

    def _memory(self) -> Row:
        memory = self.memory
        return Row(
            f"{memory.workspaces:,} workspaces pending: peak memory of the process [^memory]",
            f"< {MEMORY_BAR // 10**6} MB",
            f"{memory.peak_bytes / 10**6:.0f} MB",
            memory.peak_bytes < MEMORY_BAR,
        )

    def _locks(self) -> Row:
        held = self.locks
        bar = held.lock_timeout_seconds + LOCK_GRACE_SECONDS
        named = "named" if held.are_named else "**not** named"
        return Row(
            f"A table held by somebody, DDL that wants it, lock timeout {held.lock_timeout_seconds:g} s: the longest of"
            " all foreground queries [^locks]",
            f"≤ {bar:g} s",
            f"{held.longest_seconds:.2f} s (of {held.queries:,}; who held it was {named} at each of {held.tries}"
            " timeouts)",
            held.longest_seconds <= bar and held.are_named,
        )

    def _notes(self) -> list[str]:
        memory, rates = self.memory, self.rates
        blocks = len(rates.times.seconds[rate.LOOP])
        whole = memory.completed == memory.workspaces
        extent = "over all of them" if whole else f"stopped by SIGINT after {memory.completed:,} of them"
        return [
            "[^help]: Whole processes, bytecode compiled, in turns; median of the ratios of"
            f" {len(self.help.seconds['upgrader'])} pairs.",
            f"[^rate]: {blocks} blocks of each in turns, on the same schemas; total time by total time. The program"
            " is `upgrader upgrade` as a process; its time is that of the run as its report gives it: from the run"
            " lock being held to the end, with survey, plan, all steps and the survey after them. The loop sends"
            " `begin`, `set local search_path`, `alter table`, the insertion of a history row and `commit` on one"
            " connection without prepared statements, and checks nothing; the program looks at each workspace's row"
            " again, resets the session, checks that the command left nothing behind, and keeps the summary of each"
            " workspace.",
            f"[^alembic]: One process with everything imported, one connection for all, {rates.alembic_workspaces:,}"
            " schemas in each block; the schema in `config.attributes`, a version table in each schema.",
            "[^pending]: Whole processes of `upgrader upgrade`, in turns; medians of"
            f" {len(self.pending.times.seconds[pending.HELP])}. Each step is a command in a file of its own, loaded"
            " and checked in every run.",
            "[^memory]: A step that selects a constant, in workspaces without a schema of their own; peak of the"
            f" resident set (`VmHWM`) in a run {extent}.",
            "[^locks]: One session has read and written the table and does not end its transaction; one reads it over"
            " and over, one writes it. After the last timeout the table is let go, and the step has to succeed.",
        ]

    @property
    def text(self) -> str:
        """The page."""
        return "\n".join(
            [
                "# Benchmarks",
                "",
                "Written by `scripts/bench`; do not edit. What is compared ran in turns, in one run of that script,"
                " so that a noisy machine is as noisy for all; only the ratios mean anything elsewhere.",
                "",
                "| what | bar | measured | met |",
                "|---|---|---|---|",
                *(row.text for row in self.rows),
                "",
                *(line for note in self._notes() for line in (note, "")),
                "## Machine",
                "",
                "| | |",
                "|---|---|",
                *(f"| {label} | {told} |" for label, told in self.machine),
                "",
            ]
        )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _per_second(times: Times, name: str) -> str:
    return f"{len(times.seconds[name]) / sum(times.seconds[name]):,.0f}"
