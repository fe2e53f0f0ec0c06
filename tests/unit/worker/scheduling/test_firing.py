"""When a tick is seen to."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from upgrader.worker.options import ScheduledJobOptions
from upgrader.worker.scheduling.firing import TickFiring
from upgrader.worker.scheduling.job_state import JobState, SchedulerParts
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob, JobOrigin, resolve


class _Stopping(threading.Event):
    """Says at once that the scheduler ends, and keeps how long it would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return True


def test_a_tick_is_put_off_by_chance_and_no_longer_than_allowed() -> None:
    """Over the whole of the time: many workers would else all begin at once."""
    options = ScheduledJobOptions(interval=60, max_random_delay=20)
    origin = JobOrigin("package.module", "P", "run")
    (job,) = resolve([DiscoveredScheduledJob("P.run", "P", "run", options, lambda: None, "here:1", origin)])
    nothing: Any = None  # nothing is claimed or run by a scheduler that ends
    stopping = _Stopping()
    firing = TickFiring(nothing, SchedulerParts(nothing, nothing, None, lambda: datetime.now(UTC), stopping))
    for _ in range(500):
        firing.see_to(JobState(job), datetime.now(UTC))
    delays = [seconds or 0.0 for seconds in stopping.waits]
    assert len(delays) == 500
    assert all(0 <= seconds <= 20 for seconds in delays)
    assert min(delays) < 2
    assert max(delays) > 18
