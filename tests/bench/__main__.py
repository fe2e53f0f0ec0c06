"""Measures everything and writes the page; exits with 1 where a bar is missed."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.bench import (
    backfill,
    client,
    columns,
    distributed,
    jobs,
    locks,
    machine,
    memory,
    pending,
    skew,
    tracking,
)
from tests.bench import help as help_
from tests.bench.findings import Section
from tests.bench.page import page
from tests.bench.stage import Stage, open_stage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "BENCHMARKS.md"


class Measurement(Protocol):
    """Measures something on a server."""

    def __call__(self, stage: Stage, *, quick: bool) -> Section:
        """Measure; `quick` only tries it, on a small scale."""


MEASUREMENTS: Mapping[str, Measurement] = {
    "help": help_.measure,
    "columns": columns.measure,
    "network": columns.measure_networked,
    "skew": skew.measure,
    "pending": pending.measure,
    "backfill": backfill.measure,
    "client": client.measure,
    "memory": memory.measure,
    "locks": locks.measure,
    "jobs": jobs.measure,
    "tracking": tracking.measure,
    "distributed": distributed.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the page is written where everything was measured."""
    given = _parse(arguments)
    names = given.only or list(MEASUREMENTS)
    sections: list[Section] = []
    with open_stage() as stage:
        for name in names:
            try:
                sections.append(_measure(name, stage, quick=given.quick))
            except Exception:  # the others are measured all the same: it takes long
                traceback.print_exc()
        text = page(sections, machine.describe(stage.url))
    print(text)
    is_whole = len(sections) == len(names)
    if is_whole and not given.quick and not given.only:
        PAGE.write_text(text, encoding="utf-8")
    return (
        0 if is_whole and all(row.is_met is not False for section in sections for row in section.rows) else 1
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="try everything on a small scale; write nothing")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(MEASUREMENTS),
        help="measure this alone (repeatable); write nothing",
    )
    return parser.parse_args(arguments)


def _measure(name: str, stage: Stage, *, quick: bool) -> Section:
    print(f"measuring: {name} …", file=sys.stderr, flush=True)
    started = time.perf_counter()
    section = MEASUREMENTS[name](stage, quick=quick)
    print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return section


if __name__ == "__main__":
    sys.exit(main())
