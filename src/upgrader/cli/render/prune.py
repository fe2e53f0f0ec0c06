"""What was folded, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.documents import Document, envelope
from upgrader.cli.render.wording import counted, moment

if TYPE_CHECKING:
    from upgrader.api import PruneReport


def prune_blocks(report: PruneReport) -> Iterator[Block]:
    """Say how many attempts were folded into how many."""
    if not report.attempts:
        yield Line(f"nothing to fold: no attempt before {moment(report.before)} is superseded by one like it")
        return
    did = "would be folded" if report.dry_run else "folded"
    yield Line(
        f"{counted(report.attempts, 'attempt')} before {moment(report.before)} {did} into {report.kept:,} later ones"
    )


def prune_document(report: PruneReport, exit_code: int) -> Document:
    """Give what was folded; `attempts` are gone, `kept` stand for them."""
    return {
        **envelope("done", exit_code),
        "database": report.database,
        "dry_run": report.dry_run,
        "before": report.before.isoformat(),
        "attempts": report.attempts,
        "kept": report.kept,
    }
