"""A run, told afterwards, for people: what ran, what failed, what holds it, what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.quarantine import quarantined_blocks
from upgrader.cli.render.waits import waits_blocks
from upgrader.cli.render.way_down import nothing_to_take_back
from upgrader.cli.render.wording import counted, duration, first_lines

if TYPE_CHECKING:
    from upgrader.runner.result import RunReport, SegmentResult, StepSummary
    from upgrader.version import ReleaseVersion

FAILURES_AT_MOST = 20
_NAMED_AT_MOST = 10
_COLUMNS = (
    Column("version", whole=True),
    Column("instance steps", right=True),
    Column("workspaces", right=True),
    Column("failed", right=True),
    Column("time", right=True),
)


_WORKERS = (
    Column("worker", whole=True),
    Column("lanes", right=True),
    Column("workspaces", right=True),
    Column("failed", right=True),
    Column("a second", right=True),
    Column(""),
)


def run_blocks(report: RunReport) -> Iterator[Block]:
    """Give the report: a table by version, failures, deferred steps, a dry run's findings."""
    yield from _table(report)
    yield from waits_blocks(report)
    yield from _failures(report)
    yield from _skipped(report)
    if report.quarantined:
        yield Line()
        yield from quarantined_blocks(report.quarantined)
    if report.deferred:
        yield Line()
        yield Line(f"{counted(len(report.deferred), 'slow step')} deferred:", style="warning")
        for step in report.deferred:
            yield Line(step.name, indent=2, verbatim=True)
    if report.late:
        ids = list(report.late)
        more = f" and {len(ids) - _NAMED_AT_MOST:,} more" if len(ids) > _NAMED_AT_MOST else ""
        yield Line(f"late, taken through older versions: {', '.join(ids[:_NAMED_AT_MOST])}{more}")
    yield from _dry_run(report)
    yield from _workers(report)
    if report.jobs == "auto" and report.segments:
        at_most = counted(report.highest_lanes, "workspace")
        yield Line(f"jobs auto: {at_most} at a time at most, {report.last_lanes:,} at last")
    yield Line(_closing(report))


def next_blocks(report: RunReport) -> Iterator[Block]:
    """Give what the operator has to know and to type next, as `error:` and `hint:`; the last line is a hint.

    Nothing for a run that is done.
    """
    outcome = report.outcome.value
    if report.error is not None:
        yield from _problem(report.error.message, report.error.hint or "run the same command again")
    for refusal in report.refusals:
        yield from _problem(refusal.message, refusal.hint)
    if outcome == "interrupted":
        left = f": {counted(report.left, 'step')} left" if report.left else ""
        yield from _problem(f"stopped by {report.signal_name or 'a signal'}{left}", _AGAIN)
    elif outcome == "failed" and report.error is None:
        yield from _failed(report)
    elif report.unenrolled and not report.refusals:
        pass  # told below, with what it holds up
    elif report.stop is not None:
        yield from _stopped(report)
    elif outcome == "done" and report.deferred:
        yield Line("run `upgrader upgrade --include-slow` when there is time for slow steps", "hint:", "hint")
    if report.unenrolled and not report.refusals:
        yield from _unenrolled(report)


_AGAIN = "run the same command again: it goes on where it was"


def _table(report: RunReport) -> Iterator[Block]:
    walked = {version for version, segment in report.segments.items() if segment.total}
    found = {summary.step.version for summary in report.steps.values()} | walked
    versions = sorted(found, reverse=report.direction.value == "down")
    yield Table(_COLUMNS, [_row(report, version) for version in versions])


def _row(report: RunReport, version: ReleaseVersion) -> list[str | Cell]:
    summaries = [one for one in report.steps.values() if one.step.version == version]
    instance = sum(one.completed for one in summaries if not one.step.is_workspace)
    failed = sum(one.failed for one in summaries if not one.step.is_workspace)
    segment = report.segments.get(version)
    if segment is not None:
        failed += segment.failed
    return [
        version.text,
        f"{instance:,}",
        f"{segment.done:,} of {segment.total:,}" if segment else "-",
        Cell(f"{failed:,}", "error" if failed else ""),
        duration(_seconds(summaries, segment)),
    ]


def _seconds(summaries: Sequence[StepSummary], segment: SegmentResult | None) -> float:
    """Give how long a version took: its instance steps, and its workspaces from the first to the last."""
    walked = segment.seconds if segment else 0.0
    return walked + sum(one.seconds for one in summaries if not (walked and one.step.is_workspace))


def _failures(report: RunReport) -> Iterator[Block]:
    failures = report.failures
    if not failures:
        return
    yield Line()
    yield Line(f"{counted(len(failures), 'step')} not completed:", style="error")
    for failure in failures[:FAILURES_AT_MOST]:
        again = f", attempt {failure.attempt}" if failure.attempt > 1 else ""
        yield Line(f"{failure.scope} {failure.status.value}", indent=2, verbatim=True)
        yield Line(f"{failure.step.name}{again}", indent=4, verbatim=True)
        yield Line(first_lines(failure.error, 8), indent=4)
    if len(failures) > FAILURES_AT_MOST:
        yield Line(f"and {len(failures) - FAILURES_AT_MOST:,} more: upgrader status --failed-only", indent=2)


def _skipped(report: RunReport) -> Iterator[Block]:
    skipped = report.skipped
    if not skipped:
        return
    yield Line()
    yield Line(f"{counted(len(skipped), 'workspace')} skipped, to be tried again:", style="warning")
    for one in skipped[:FAILURES_AT_MOST]:
        yield Line(f"{one.scope}: {one.step.name}", indent=2, verbatim=True)
        yield Line(first_lines(one.error, 2), indent=4)
    if len(skipped) > FAILURES_AT_MOST:
        yield Line(f"and {len(skipped) - FAILURES_AT_MOST:,} more: upgrader status --failed-only", indent=2)


def _dry_run(report: RunReport) -> Iterator[Block]:
    for one in report.not_simulated:
        yield Line(f"not simulated: {one.step.name}: {one.reason}", style="warning")
    for lock in report.table_locks:
        times = f", {lock.count:,} times" if lock.count > 1 else ""
        yield Line(f"locked exclusively: {lock.table} for {duration(lock.seconds)}{times}")
    if report.dry_run and report.simulated_to is not None:
        yield Line(f"the dry run looked as far as the barrier after {report.simulated_to}", style="warning")


def _workers(report: RunReport) -> Iterator[Block]:
    if not report.workers:
        return
    yield Line()
    yield Table(
        _WORKERS,
        [
            [
                one.name,
                f"{one.lanes:,}",
                f"{one.workspaces:,}",
                Cell(f"{one.failed:,}", "error" if one.failed else ""),
                f"{one.rate:,.1f}" if one.rate else "-",
                "" if one.end == "worked" else f"{one.end}: {one.note}" if one.note else one.end,
            ]
            for one in report.workers
        ],
    )


def _closing(report: RunReport) -> str:
    is_down = report.direction.value == "down"
    did = "tried and rolled back" if report.dry_run else "reverted" if is_down else "completed"
    took = f"in {duration(report.seconds)}"
    if report.completed:
        return f"{counted(report.completed, 'step')} {did} {took}"
    if report.outcome.value != "done" or report.deferred or report.not_simulated:
        return f"nothing {did}" if report.outcome.value == "refused" else f"nothing {did} {took}"
    if is_down:
        whole_target = report.target if report.stop is None else None
        return nothing_to_take_back(whole_target.text if whole_target else None)
    return f"nothing to run: {report.database} is at {report.target}" if report.target else "nothing to run"


def _failed(report: RunReport) -> Iterator[Block]:
    failed = [failure for failure in report.failures if failure.status.value == "failed"]
    done = "reverted" if report.direction.value == "down" else "done"
    told = [
        f"{counted(len(failed), 'step')} failed" if failed else "",
        f"{counted(len(report.skipped), 'workspace')} skipped" if report.skipped else "",
    ]
    again = (
        "try it again: nothing was kept"
        if report.dry_run
        else f"run the same command again: {done} steps stay {done}"
    )
    what = "mend what is named above" if failed else "see to the reasons above"
    text = ", ".join(part for part in told if part)
    yield from _problem(f"{text}{_held(report)}", f"{what}, then {again}")


def _held(report: RunReport) -> str:
    """Say where the run ended for it."""
    found = report.too_many_failures
    if found is not None:
        left = counted(found.left_workspaces, "workspace")
        return f"; stopped in {found.version} (max-failures {found.limit.text}): {left} left"
    return f"; {report.stop.message}" if report.stop else ""


def _unenrolled(report: RunReport) -> Iterator[Block]:
    ids = report.unenrolled
    count = counted(len(ids), "workspace")
    verb = "is" if len(ids) == 1 else "are"
    more = f" and {len(ids) - _NAMED_AT_MOST:,} more" if len(ids) > _NAMED_AT_MOST else ""
    held = f"; {report.stop.message}" if report.stop and report.outcome.value == "refused" else ""
    yield from _problem(
        f"{count} appeared during the run and {verb} not enrolled: {', '.join(ids[:_NAMED_AT_MOST])}{more}{held}",
        f"`upgrader workspace enroll {ids[0]} --at start` if every step is to run on it, "
        f"`upgrader workspace enroll {ids[0]} --at VERSION` if it was made in the shape of VERSION; "
        f"then run `upgrader {'downgrade' if report.direction.value == 'down' else 'upgrade'}` again",
    )


def _stopped(report: RunReport) -> Iterator[Block]:
    assert report.stop is not None
    if report.outcome.value == "refused":
        yield from _problem(report.stop.message, report.stop.hint)
        return
    # No `error:`: the run did what it was told to, and slow steps wait for somebody to take the time.
    style = "" if report.outcome.value == "done" else "warning"
    yield Line(report.stop.message, style=style)
    yield Line(report.stop.hint, "hint:", "hint")


def _problem(message: str, hint: str) -> Iterator[Block]:
    yield Line(message, label="error:", style="error")
    yield Line(hint, label="hint:", style="hint")
