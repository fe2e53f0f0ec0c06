"""Whether the database suffers more than it did: what is read of it against what is usual for it.

Usual is what was read until now, the older the less. A reading counts once the next one agrees: one session that
waits a moment for a lock says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from upgrader.model import Pressure

_READINGS_TO_BELIEVE = 2
_FOLLOWS = 0.1  # part of a reading that goes into what is usual,
_FOLLOWS_HIGH = 0.02  # and of one that is high: what stays high becomes usual in a few minutes
_LAG_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Measure:
    """One kind of reading, and from where on it is high.

    Attributes:
        limit: what is high, from what is usual.
    """

    words: str
    read: Callable[[Pressure], int | None]
    limit: Callable[[float], float]


_MEASURES = (
    _Measure("sessions of others wait for locks", lambda one: one.lock_waits, lambda usual: 2 * usual + 1),
    _Measure("sessions of others are active", lambda one: one.active_sessions, lambda usual: 2 * usual + 5),
    _Measure(
        "bytes lie between the server and a standby",
        lambda one: one.replication_lag_bytes,
        lambda usual: 2 * usual + _LAG_BYTES,
    ),
)


@dataclass
class Strain:
    """Follows the readings of one run.

    Attributes:
        is_high: whether the last reading was high, believed or not: no time to compare anything.
    """

    is_high: bool = False
    _usual: dict[str, float] = field(default_factory=dict)
    _high_in_a_row: int = 0

    def rises(self, pressure: Pressure, *, lanes: int) -> str | None:
        """Take a reading; give why to work with fewer lanes, None where there is no reason.

        Args:
            lanes: how many are at work.
        """
        reasons = [reason for measure in _MEASURES if (reason := self._high(measure, pressure))]
        waiting = pressure.lanes_waiting or 0
        if lanes > 1 and 2 * waiting >= lanes:
            reasons.append(f"{waiting} of {lanes} lanes wait for locks")
        self.is_high = bool(reasons)
        self._high_in_a_row = self._high_in_a_row + 1 if reasons else 0
        if self._high_in_a_row < _READINGS_TO_BELIEVE:
            return None
        self._high_in_a_row = 0  # fewer lanes have to have their effect before they are fewer again
        return reasons[0]

    def _high(self, measure: _Measure, pressure: Pressure) -> str | None:
        found = measure.read(pressure)
        if found is None:
            return None
        usual = self._usual.setdefault(measure.words, found)
        is_high = found >= measure.limit(usual)
        self._usual[measure.words] = usual + (_FOLLOWS_HIGH if is_high else _FOLLOWS) * (found - usual)
        return f"{found:,} {measure.words} (usual: {usual:,.0f})" if is_high else None
