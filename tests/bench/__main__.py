"""Measures everything and writes the page; exits with 1 where a bar is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.bench import help as help_
from tests.bench import locks, machine, memory, pending, rate
from tests.bench.page import Findings
from tests.bench.stage import open_stage

_Found = TypeVar("_Found")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "BENCHMARKS.md"


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="try everything on a small scale; write nothing")
    quick = parser.parse_args().quick
    with open_stage() as stage:
        findings = Findings(
            machine=machine.describe(stage.url),
            help=_told("--help", lambda: help_.measure(stage, quick=quick)),
            rates=_told("rate", lambda: rate.measure(stage, quick=quick)),
            pending=_told("nothing pending", lambda: pending.measure(stage, quick=quick)),
            memory=_told("memory", lambda: memory.measure(stage, quick=quick)),
            locks=_told("locks", lambda: locks.measure(stage, quick=quick)),
        )
    print(findings.text)
    if not quick:
        PAGE.write_text(findings.text, encoding="utf-8")
    return 0 if all(row.is_met for row in findings.rows) else 1


def _told(what: str, action: Callable[[], _Found]) -> _Found:
    print(f"measuring: {what} …", file=sys.stderr, flush=True)
    return action()


if __name__ == "__main__":
    sys.exit(main())
