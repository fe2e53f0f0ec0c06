"""Which executor takes a run's segments: one lane or several, a number that is given or `auto`, in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg

from upgrader.database.aside import Asks
from upgrader.database.pressure import PressureReader
from upgrader.database.sizes import schema_sizes
from upgrader.model import Order
from upgrader.runner.auto_lanes import AutoExecutor, AutoLanes
from upgrader.runner.ordering import LargestFirstExecutor
from upgrader.runner.parallel import ThreadedExecutor
from upgrader.runner.segment import SegmentExecutor, SequentialExecutor
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.throttle import Throttle
from upgrader.runner.workspace_walk import SegmentParts


@dataclass(frozen=True)
class Lanes:
    """What the workspaces of a run are worked on with.

    Attributes:
        steps: what each lane runs steps with.
        terminate: ends server processes whose statements cannot be cancelled.
        control: gives a connection in autocommit that runs no author's code.
        asks: asks on it without being in the way.
        own: the application names of the run's sessions.
        is_auto: whether the run chooses how many of them work.
    """

    steps: Sequence[StepRunner]
    terminate: Callable[[Sequence[int]], None]
    control: Callable[[], psycopg.Connection]
    asks: Asks
    own: tuple[str, ...]
    is_auto: bool = False


def make_executor(
    segment: SegmentParts, lanes: Lanes, *, order: Order, given: SegmentExecutor | None = None
) -> SegmentExecutor:
    """Put the executor together.

    Args:
        given: takes the workspaces in the place of lanes of this process.
    """
    executor = given or _in_any_order(segment, lanes)
    if order is Order.ID:
        return executor
    return LargestFirstExecutor(
        executor,
        sizes=lambda schemas: schema_sizes(lanes.control(), schemas),
        report=segment.report,
        emit=segment.emit,
    )


def _in_any_order(segment: SegmentParts, lanes: Lanes) -> SegmentExecutor:
    count = len(lanes.steps)
    segment.report.note_lanes(count if not lanes.is_auto else 1)
    if count == 1:
        return SequentialExecutor(segment, steps=lanes.steps[0])
    if not lanes.is_auto:
        return ThreadedExecutor(segment, lanes=lanes.steps, terminate=lanes.terminate)
    auto = AutoLanes(
        Throttle(maximum=count),
        read=PressureReader(lambda: lanes.asks, lanes.own).read,
        report=segment.report,
        emit=segment.emit,
    )
    executor = ThreadedExecutor(
        replace(segment, emit=auto.listening(segment.emit)),
        lanes=lanes.steps,
        terminate=lanes.terminate,
        lanes_wanted=auto.wanted,
    )
    return AutoExecutor(executor, auto)
