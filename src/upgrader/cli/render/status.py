"""A status, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.quarantine import quarantined_blocks
from upgrader.cli.render.wording import counted, duration, first_lines

if TYPE_CHECKING:
    from upgrader.status.health import Health
    from upgrader.status.report import FailedStep, ScopeStatus, StatusReport, WorkspaceStatus
    from upgrader.status.rows import WorkspaceRows
    from upgrader.status.running import RunningUpgrade

ROWS_AT_MOST = 50
_STYLES = {
    "up-to-date": "good",
    "slow-pending": "hint",
    "behind": "warning",
    "failed": "error",
    "skipped": "warning",
    "ahead": "warning",
    "quarantined": "warning",
}
_COLUMNS = (
    Column("workspace", whole=True),
    Column("name"),
    Column("version"),
    Column("health", whole=True),
    Column("pending", right=True),
    Column("last step"),
)
_NARROW = 100


def status_blocks(report: StatusReport, *, is_whole: bool, width: int | None) -> Iterator[Block]:
    """Give instance, summary and workspaces. Warnings and refusals are told apart, on stderr.

    Args:
        is_whole: show every row; else of more than fifty only those that failed or are not enrolled.
    """
    target = f", target {report.target}" if report.target else ""
    yield Line(f"{report.database}, application {report.app_version}{target}")
    if report.is_first:
        yield Line("there is no history yet: this database was never upgraded")
    if report.running is not None:
        yield Line(_running(report.running), style="hint")
    yield from _instance(report.instance)
    yield Line(_summary(report))
    yield from quarantined_blocks(report.quarantined)
    rows, left = _chosen(report.rows, is_whole=is_whole)
    if left:
        yield Line()
        yield from _groups(report.rows)
    if rows:
        yield Line()
        yield from _rows(rows, width=width)
    if left:
        yield Line()
        yield Line(f"{counted(left, 'workspace')} not shown one by one: --all shows them, -w ID one of them")


def _instance(instance: ScopeStatus) -> Iterator[Block]:
    version = f" at {instance.inferred_version}" if instance.inferred_version else ""
    pending = f", {counted(instance.pending_count, 'step')} pending" if instance.pending_count else ""
    last = f", last {instance.last_step}" if instance.last_step else ""
    text = f"instance: {instance.health.value}{version}{pending}{last}"
    yield Line(text, style=_STYLES.get(instance.health.value, ""))
    for failed in instance.failed_steps:
        yield Line(_failed(failed), indent=2, verbatim=True)
        yield Line(first_lines(failed.error), indent=4)


def _summary(report: StatusReport) -> str:
    counts = [f"{count:,} {health.value}" for health, count in report.summary.items() if count]
    told = f": {', '.join(counts)}" if counts else ""
    others = f"; {report.out_of_scope:,} more out of scope" if report.out_of_scope else ""
    return f"{counted(report.workspace_count, 'workspace')}{told}{others}"


def _groups(rows: WorkspaceRows) -> Iterator[Block]:
    """Count the workspaces of each version and health, the highest version first."""
    counts = rows.groups()
    versions = {version for version, _ in counts if version is not None}
    found = [
        (version, health, counts[version, health])
        for version in (*sorted(versions, reverse=True), None)
        for health in sorted({health for at, health in counts if at == version})
    ]
    titles = (Column("version"), Column("health"), Column("workspaces", right=True))
    yield Table(
        titles,
        [[str(version or "-"), _health(health, None), f"{count:,}"] for version, health, count in found],
    )


def _chosen(rows: WorkspaceRows, *, is_whole: bool) -> tuple[list[WorkspaceStatus], int]:
    if is_whole or len(rows) <= ROWS_AT_MOST:
        return list(rows), 0
    shown = list(islice(rows.in_trouble(), ROWS_AT_MOST))
    return shown, len(rows) - len(shown)


def _rows(rows: Sequence[WorkspaceStatus], *, width: int | None) -> Iterator[Block]:
    if width is not None and width < _NARROW:
        for row in rows:
            yield from _stacked(row)
        return
    yield Table(_COLUMNS, [_row(row) for row in rows])
    failed = [row for row in rows if row.failed_step is not None]
    if failed:
        yield Line()
    for row in failed:
        assert row.failed_step is not None
        yield Line(f"{_label(row)}: {_failed(row.failed_step)}", verbatim=True)
        yield Line(first_lines(row.error), indent=2)


def _row(row: WorkspaceStatus) -> list[str | Cell]:
    return [
        row.workspace_id,
        row.display_name or "",
        str(row.inferred_version or "-"),
        _health(row.health, row.note),
        str(row.pending_count or ""),
        row.last_step or "",
    ]


def _stacked(row: WorkspaceStatus) -> Iterator[Block]:
    yield Line(_label(row), verbatim=True)
    health = _health(row.health, row.note)
    version = f" at {row.inferred_version}" if row.inferred_version else ""
    pending = f", {counted(row.pending_count, 'step')} pending" if row.pending_count else ""
    yield Line(f"{health.text}{version}{pending}", indent=2, style=health.style)
    if row.failed_step is not None:
        yield Line(_failed(row.failed_step), indent=4, verbatim=True)
        yield Line(first_lines(row.error), indent=4)


def _label(row: WorkspaceStatus) -> str:
    return f"{row.workspace_id} ({row.display_name})" if row.display_name else row.workspace_id


def _health(health: Health, note: str | None) -> Cell:
    return Cell(f"{health.value} ({note})" if note else health.value, _STYLES.get(health.value, ""))


def _failed(failed: FailedStep) -> str:
    again = f", attempt {failed.attempt}" if failed.attempt > 1 else ""
    return f"{failed.name} {failed.status.value}{again}"


def _running(running: RunningUpgrade) -> str:
    where = running.client or running.address
    parts = [
        f"an upgrade is running: database session pid {running.pid}",
        f"on {where}" if where else "",
        f"for {duration(running.held_seconds)}" if running.held_seconds is not None else "",
    ]
    return ", ".join(part for part in parts if part)
