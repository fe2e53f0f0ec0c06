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

from tests.reliability.cases import BOUNDARY, DOWN, FILL, KINDS, LANES

_HEAD = """\
# Runs that were killed

`scripts/soak` writes this page. It starts the real command line on a real server, ends it, runs the same command
again until it is through, and compares the database with that of a run that nobody disturbed: every step completed
once, attempts without holes, the same rows, columns, indexes and constraints, no running attempt, session,
transaction or advisory lock left behind.

The project of these runs (`tests/scenarios/kill`) has three versions with fast, slow and non-transactional steps of
the instance and of six workspaces, data migrations in several transactions, and changes that would show if they
were made twice. With `--jobs 4` it must come to the same end as one workspace after the other does.

Another project (`tests/scenarios/kill_backfills`) has seven backfills, by `ctx.backfill` and by `ctx.batches`, along
keys and by ctid, in the instance and in five workspaces of which four are worked on at a time. Every batch raises a
counter in its rows; in the end each row has been counted once, and no checkpoint is left.

A run is ended by SIGKILL of its process, or by `pg_terminate_backend` of one of its sessions: that of the commands,
of the history, of the run lock, or (with `--jobs 4`) of another lane. Boundaries are every message to the server
while it is under way, and after its answer, as a listener in the driver sees them; the program has no hook for it.
"""
_WHEN = {kind.name: kind.when for kind in KINDS}
_WHERE = {
    BOUNDARY.name: "one workspace at a time",
    LANES.name: "`--jobs 4`",
    FILL.name: "backfills",
    DOWN.name: "a downgrade",
}


def report(rows: list[dict[str, Any]], *, today: str) -> str:
    """Give the page."""
    killed = [row for row in rows if row["kind"] in _WHEN]
    return "\n".join(
        [
            _HEAD,
            _summary(killed, today),
            "## How they were ended\n",
            *_table(("how", "when", "cases", "kills", "runs needed", "failures"), _by_kind(killed)),
            "## Where: messages at whose boundaries runs were ended\n",
            *_table(
                (
                    "run",
                    "message",
                    "SIGKILL under way",
                    "SIGKILL after",
                    "terminated under way",
                    "terminated after",
                ),
                _by_message(killed),
            ),
            "## Which session was terminated\n",
            *_table(("session", "cases", "exit 1", "exit 0: it was not needed any more"), _by_target(killed)),
            "## Started at the same moment\n",
            *_table(("upgrades", "`--jobs`", "all but one", "times", "failures"), _at_once(rows)),
            "## Upgrades over several machines\n",
            "Three workers with two lanes each upgrade 40 workspaces in two versions with a barrier between. Up to six"
            " times in a case a worker is killed and another started, or the coordinator is killed and the command run"
            " again, or one of their sessions is terminated. In the end each step has run once, and nothing is left.\n",
            *_table(
                (
                    "cases",
                    "workers killed",
                    "coordinators killed",
                    "sessions terminated",
                    "runs needed",
                    "failures",
                ),
                _machines(rows),
            ),
            "## Durable event handlers whose workers were killed\n",
            "An application commits records, each with a durable event, and rolls back others; two workers deliver."
            " One of them is killed by SIGKILL every few seconds, and another one started.\n",
            *_table(
                ("events", "seconds", "workers killed", "delivered twice", "lost", "sent of a rollback"),
                _durable(rows),
            ),
        ]
    )


def _summary(killed: list[dict[str, Any]], today: str) -> str:
    done = [row for row in killed if not row.get("failed")]
    servers = ", ".join(f"PostgreSQL {version}" for version in sorted({row["server"] for row in killed}))
    kills = sum(row["kills"] for row in done)
    failures = len(killed) - len(done)
    return (
        f"**{kills} kills in {len(killed)} cases, {failures} failures.** {_met(done)}"
        f"\n\n{servers}; {_machine()}; {today}.\n"
    )


def _met(done: list[dict[str, Any]]) -> str:
    """Tell how many of the boundaries of a run with one lane were met; they are the same in every run."""
    of_one_lane = [row for row in done if row["kind"] == BOUNDARY.name]
    total = max((row["of"] for row in of_one_lane), default=0)
    met = len({row["at"] for row in of_one_lane})
    return f"{met} of the {total} boundaries of a run that takes one workspace at a time were met."


def _by_kind(killed: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    for kind, text in _WHEN.items():
        for how in ("SIGKILL", "pg_terminate_backend"):
            rows = [row for row in killed if (row["kind"], row["how"]) == (kind, how)]
            done = [row for row in rows if not row.get("failed")]
            needed = Counter(row["runs"] for row in done)
            runs = ", ".join(f"{runs} ({times}x)" for runs, times in sorted(needed.items()))
            yield f"`{how}`", text, len(rows), sum(row["kills"] for row in done), runs, len(rows) - len(done)


def _by_message(killed: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    found: dict[tuple[str, str], Counter[tuple[str, bool]]] = defaultdict(Counter)
    for row in killed:
        if "message" in row:
            found[row["kind"], row["message"]][row["how"], row["point"] == "sent"] += 1
    for kind, text in _WHERE.items():
        for (_, message), counts in sorted(item for item in found.items() if item[0][0] == kind):
            times = (
                counts[how, is_sent]
                for how in ("SIGKILL", "pg_terminate_backend")
                for is_sent in (True, False)
            )
            yield text, message, *times


def _by_target(killed: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    names = {
        "lock": "the run lock's",
        "control": "the history's",
        "command": "the commands'",
        "other": "another lane's",
    }
    for target, name in names.items():
        codes = Counter(
            row["codes"][0]
            for row in killed
            if row.get("target") == target and row["how"] != "SIGKILL" and not row.get("failed")
        )
        yield name, codes.total(), codes[1], codes[0]


def _at_once(rows: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    started = [(row["count"], row["lanes"], row["waits"]) for row in rows if row["kind"] == "at-once"]
    failed = Counter(
        (row["count"], row["lanes"], row["waits"])
        for row in rows
        if row["kind"] == "at-once" and row.get("failed")
    )
    for (count, lanes, waits), times in sorted(Counter(started).items()):
        others = "wait (`--wait-lock`) and find nothing to do" if waits else "exit 3"
        yield count, lanes, others, times, failed[count, lanes, waits]


def _machines(rows: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    cases = [row for row in rows if row["kind"] == "machines"]
    needed = Counter(row["runs"] for row in cases if not row["failed"])
    killed = [sum(row[whom] for row in cases) for whom in ("worker", "coordinator", "session")]
    runs = ", ".join(f"{runs} ({times}x)" for runs, times in sorted(needed.items()))
    yield len(cases), *killed, runs, sum(row["failed"] for row in cases)


def _durable(rows: list[dict[str, Any]]) -> Iterable[tuple[object, ...]]:
    for row in rows:
        if row["kind"] == "durable-events":
            yield tuple(row[key] for key in ("events", "seconds", "kills", "twice", "lost", "wrong"))


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
