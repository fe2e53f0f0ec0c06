"""Writes docs/RELIABILITY.md from what the killed runs noted."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_HEAD = """\
# Runs that were killed

`scripts/soak` writes this page. It starts the real command line on a real server, ends it, runs the same command
again until it is through, and compares the database with that of a run that nobody disturbed: every step completed
once, attempts without holes, the same rows, columns, indexes and constraints, no running attempt, session,
transaction or advisory lock left behind.

The project of these runs (`tests/scenarios/kill`) has three versions with fast, slow and non-transactional steps of
the instance and of six workspaces, data migrations in several transactions, and changes that would show if they
were made twice.

A run is ended by SIGKILL of its process, or by `pg_terminate_backend` of one of its sessions: that of the commands,
of the history, or of the run lock. Boundaries are every message to the server while it is under way, and after its
answer, as a listener in the driver sees them; the program has no hook for it.
"""
_KINDS = {
    "boundary": "at a boundary",
    "moment": "at a random moment, from another process",
    "commit": "with a COMMIT at work (a deferred trigger that sleeps)",
    "index": "with CREATE INDEX CONCURRENTLY at work",
}


def report(rows: list[dict[str, Any]], *, today: str) -> str:
    """Give the page."""
    killed = [row for row in rows if row["kind"] in _KINDS]
    return "\n".join(
        [
            _HEAD,
            _summary(killed, today),
            "## How they were ended\n",
            *_table(("how", "when", "cases", "kills", "runs needed", "failures"), _by_kind(killed)),
            "## Where: messages at whose boundaries runs were ended\n",
            *_table(
                ("message", "SIGKILL under way", "SIGKILL after", "terminated under way", "terminated after"),
                _by_message(killed),
            ),
            "## Which session was terminated\n",
            *_table(("session", "cases", "exit 1", "exit 0: it was not needed any more"), _by_target(killed)),
            "## Started at the same moment\n",
            *_table(("upgrades", "all but one", "times", "failures"), _at_once(rows)),
        ]
    )


def _summary(killed: list[dict[str, Any]], today: str) -> str:
    done = [row for row in killed if not row.get("failed")]
    boundaries = {row["at"] for row in done if row["kind"] == "boundary"}
    total = max((row["of"] for row in done if row["kind"] == "boundary"), default=0)
    servers = ", ".join(f"PostgreSQL {version}" for version in sorted({row["server"] for row in killed}))
    kills = sum(row["kills"] for row in done)
    failures = len(killed) - len(done)
    return (
        f"**{kills} kills in {len(killed)} cases, {failures} failures.** {len(boundaries)} of the {total} boundaries"
        f" of a run were met.\n\n{servers}; {_machine()}; {today}.\n"
    )


def _by_kind(killed: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    for kind, text in _KINDS.items():
        for how in ("SIGKILL", "pg_terminate_backend"):
            rows = [row for row in killed if (row["kind"], row["how"]) == (kind, how)]
            done = [row for row in rows if not row.get("failed")]
            needed = Counter(row["runs"] for row in done)
            runs = ", ".join(f"{runs} ({times}x)" for runs, times in sorted(needed.items()))
            yield f"`{how}`", text, len(rows), sum(row["kills"] for row in done), runs, len(rows) - len(done)


def _by_message(killed: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    found: dict[str, Counter[tuple[str, bool]]] = defaultdict(Counter)
    for row in killed:
        if row["kind"] == "boundary" and not row.get("failed"):
            found[row["message"]][row["how"], row["point"] == "sent"] += 1
    for message, counts in sorted(found.items()):
        yield (
            message,
            *(
                counts[how, is_sent]
                for how in ("SIGKILL", "pg_terminate_backend")
                for is_sent in (True, False)
            ),
        )


def _by_target(killed: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    names = {"lock": "the run lock's", "control": "the history's", "command": "the commands'"}
    for target, name in names.items():
        codes = Counter(
            row["codes"][0]
            for row in killed
            if row.get("target") == target and row["how"] != "SIGKILL" and not row.get("failed")
        )
        yield name, codes.total(), codes[1], codes[0]


def _at_once(rows: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    started = [row for row in rows if row["kind"] == "at-once"]
    failed = Counter((row["count"], row["waits"]) for row in started if row.get("failed"))
    for (count, waits), number in sorted(Counter((row["count"], row["waits"]) for row in started).items()):
        others = "wait (`--wait-lock`) and find nothing to do" if waits else "exit 3"
        yield count, others, number, failed[count, waits]


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [*(f"| {' | '.join(map(str, line))} |" for line in lines), ""]


def _machine() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {round(pages / 2**30)} GB, {platform.system()}, Python {python}"


def main() -> None:
    """Read the notes and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notes", type=Path)
    parser.add_argument("page", type=Path)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.notes.read_text(encoding="utf-8").splitlines()]
    given.page.write_text(report(rows, today=datetime.now(UTC).date().isoformat()), encoding="utf-8")


if __name__ == "__main__":
    main()
