"""When a job is due: by cron or interval. The times come from APScheduler's trigger classes; nothing is kept here.

All times given are in UTC, so that every worker names a tick in the same way, whatever its time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from upgrader.errors import OperatorError
from upgrader.worker.scheduling.cron import CronFields, parse_cron

_STEP = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AROUND = (timedelta(hours=-4), timedelta(), timedelta(hours=4))
_SPANS = (
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=31),
    timedelta(days=366),
)
SHORTEST_INTERVAL_SECONDS = 0.1


class Trigger(Protocol):
    """Knows when a job is due. Pure: the same moment always gives the same answer."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Give the first tick after a moment; None if there is none ever."""
        ...

    @property
    def description(self) -> str:
        """How people read it."""
        ...


@dataclass(frozen=True)
class CronTicks:
    """The ticks of a cron expression in a time zone.

    A local time that is left out as clocks go forward comes as much later as they go forward; of one that comes
    twice as they go back the first counts. Expressions that name every hour go on through both.

    Attributes:
        timezone: an IANA name; None: the system's.
    """

    expression: str
    timezone: str | None = None

    def next_after(self, moment: datetime) -> datetime | None:
        """Give the first tick after a moment; None if there is none ever, as of 30 February."""
        found = [one for wall in self._walls if (one := self._next(wall, moment)) is not None]
        return min(found, default=None)

    @property
    def description(self) -> str:
        """How people read it."""
        return f"cron {self.expression}" + (f" ({self.timezone})" if self.timezone else "")

    @cached_property
    def _walls(self) -> list[_Wall]:
        zone = ZoneInfo(self.timezone) if self.timezone else None
        return [_Wall(fields, zone) for fields in parse_cron(self.expression)]

    def _next(self, wall: _Wall, moment: datetime) -> datetime | None:
        if wall.is_hourly:
            return wall.next_in_real_time(moment)
        shift = wall.shift_near(moment)
        shown = moment.astimezone(wall.zone).replace(tzinfo=None)
        due = wall.next_shown(shown - shift)
        found: list[datetime] = []
        while due is not None and (not found or due <= shown + 2 * shift):
            if wall.moment_of(due) > moment:
                found.append(wall.moment_of(due))
            due = wall.next_shown(due) if shift or not found else None
        # What the wall shows later may have been moved to an earlier moment.
        return min(found, default=None)


class _Wall:
    """The clock on the wall: which times it shows match an expression, and which moments those are."""

    def __init__(self, fields: CronFields, zone: ZoneInfo | None) -> None:
        make: Callable[..., Any] = _apscheduler("cron", "CronTrigger")
        real = make(**asdict(fields), timezone=zone)
        self._real = real
        self._shown = make(**asdict(fields), timezone=UTC)
        self.zone: tzinfo = real.timezone
        self.is_hourly = fields.hour == "*"

    def next_in_real_time(self, moment: datetime) -> datetime | None:
        """Give the first match after a moment, where each moment's own local time decides."""
        found: datetime | None = self._real.get_next_fire_time(None, (moment + _STEP).astimezone(self.zone))
        return None if found is None else found.astimezone(UTC)

    def next_shown(self, shown: datetime) -> datetime | None:
        """Give the first match after a local time, as if the clocks never changed."""
        found: datetime | None = self._shown.get_next_fire_time(None, (shown + _STEP).replace(tzinfo=UTC))
        return None if found is None else found.replace(tzinfo=None)

    def moment_of(self, shown: datetime) -> datetime:
        """Give the moment of a local time: the first of two; where it is left out, as much later."""
        return shown.replace(tzinfo=self.zone).astimezone(UTC)

    def shift_near(self, moment: datetime) -> timedelta:
        """Give by how much clocks change around a moment; as a rule not at all."""
        offsets = [(moment + way).astimezone(self.zone).utcoffset() or timedelta() for way in _AROUND]
        return max(offsets) - min(offsets)


@dataclass(frozen=True)
class IntervalTicks:
    """Ticks at a fixed distance, counted from the epoch: so all workers agree on them, whenever they began."""

    seconds: float

    def next_after(self, moment: datetime) -> datetime | None:
        """Give the first tick after a moment."""
        found: datetime = self._trigger.get_next_fire_time(None, moment + _STEP)
        while found <= moment:  # a float was a little short
            found = self._trigger.get_next_fire_time(found, moment)
        return found.astimezone(UTC)

    @property
    def description(self) -> str:
        """How people read it."""
        return f"every {self.seconds:g} s"

    @cached_property
    def _trigger(self) -> Any:
        make: Callable[..., Any] = _apscheduler("interval", "IntervalTrigger")
        return make(seconds=self.seconds, start_date=_EPOCH, timezone=UTC)


@dataclass(frozen=True)
class Manual:
    """No ticks: the job runs as the worker starts, or when it is asked to."""

    description: str = field(default="manual", init=False)

    def next_after(self, moment: datetime) -> datetime | None:
        """Give nothing."""
        del moment
        return None


def latest_between(trigger: Trigger, after: datetime, until: datetime) -> datetime | None:
    """Give the last tick in `(after, until]`; None where there is none.

    Whoever slept for hours over a tick of every second does not go through all of them: it is looked for from the
    end.
    """
    for start in _starts(after, until):
        due = trigger.next_after(start)
        if due is None or due > until:
            continue
        while (following := trigger.next_after(due)) is not None and following <= until:
            due = following
        return due
    return None


def _starts(after: datetime, until: datetime) -> Iterable[datetime]:
    for span in _SPANS:
        if until - span <= after:
            break
        yield until - span
    yield after


def _apscheduler(module: str, name: str) -> Any:
    try:
        from importlib import import_module

        return getattr(import_module(f"apscheduler.triggers.{module}"), name)
    except ModuleNotFoundError as error:
        raise no_scheduler() from error


def no_scheduler() -> OperatorError:
    """Give the error for an installation without the scheduler's clock."""
    return OperatorError(
        "the scheduler needs APScheduler, which is not installed",
        hint="install it: pip install 'upgrader[worker]' (or 'upgrader[scheduler]' for jobs without a queue)",
    )
