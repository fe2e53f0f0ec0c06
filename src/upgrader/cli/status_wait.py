"""Waits until the database is good, and says meanwhile for what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from upgrader.cli.invocation import Invocation
from upgrader.cli.live import LiveLine
from upgrader.cli.progress import PAUSE_SECONDS
from upgrader.cli.render.blocks import Line
from upgrader.cli.render.wording import counted, duration

if TYPE_CHECKING:
    from upgrader.status.report import StatusReport
    from upgrader.status.waiting import StatusPoll


def wait_for_status(
    invocation: Invocation,
    seconds: float,
    *,
    include_slow: bool,
    workspace_ids: tuple[str, ...],
    failed_only: bool,
) -> StatusReport:
    """Give the status that was seen last: a good one, unless the time was over."""
    live, told_at = LiveLine(invocation.output), -PAUSE_SECONDS

    def tell(poll: StatusPoll) -> None:
        nonlocal told_at
        if poll.is_good or poll.seconds_left <= 0:
            return
        if live.is_live:
            live.say(waiting_line(poll, include_slow=include_slow))
        elif time.monotonic() - told_at >= PAUSE_SECONDS:
            told_at = time.monotonic()
            invocation.output.tell(Line(waiting_line(poll, include_slow=include_slow)))

    try:
        report = invocation.upgrader().wait_until_good(
            seconds,
            include_slow=include_slow,
            workspace_ids=workspace_ids,
            failed_only=failed_only,
            on_poll=tell,
        )
    finally:
        live.clear()
    if report is None:
        raise KeyboardInterrupt
    return report


def waiting_line(poll: StatusPoll, *, include_slow: bool) -> str:
    """Say what is being waited for."""
    left = f"; {duration(poll.seconds_left)} left"
    if poll.report is None:
        reason = poll.error.message if poll.error else "no connection"
        return f"waiting: {reason}{left}"
    instance = poll.report.instance.health
    told = "" if instance.is_good(include_slow=include_slow) else f"the instance is {instance.value}, "
    judged = poll.report.judged.items()
    count = sum(number for health, number in judged if not health.is_good(include_slow=include_slow))
    return f"waiting: {told}{counted(count, 'workspace')} not up to date{left}"
