"""What a walk is given, and what it gives: the author's wish, its parts, an open batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from upgrader.backfill.checkpoint import Checkpoints
from upgrader.backfill.control import FixedPacer, Governor, OpenGovernor, Pacer
from upgrader.backfill.ground import Ground
from upgrader.backfill.keys import WalkKey
from upgrader.backfill.ranges import KeyRange, KeyValue
from upgrader.backfill.stretch import Look, Stretch
from upgrader.backfill.table import WalkedTable
from upgrader.events import EventSink
from upgrader.model import Scope, Step

TellRetry = Callable[[int, str, float], None]


def _tell_nobody(tries: int, reason: str, pause_seconds: float) -> None:
    del tries, reason, pause_seconds


@dataclass(frozen=True, slots=True)
class Given:
    """What the author asked for.

    Attributes:
        key: the name of a unique key, its columns, or `ctid`; None chooses.
        left: gives the query for the rows of a range that are still to be changed, where `where` tells them.
        changes: the columns that get another value, where that is known.
    """

    table: str
    label: str
    key: str | tuple[str, ...] | None = None
    left: Callable[[WalkedTable, KeyRange], str] | None = None
    changes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class WalkParts:
    """What a walk works with.

    Attributes:
        checksum: of the command.
        tell_retry: told of a batch that is to be tried again: how often it was tried, what it met, and
            how long it rests before.
        wait: sleeps for so many seconds, or until the run is asked to stop; tells whether it was.
        most_rows: where to end in a trial; 0 goes to the end.
        keeps_checkpoint: whether the operator answers for a table that looks like another one.
    """

    step: Step
    scope: Scope
    checksum: str
    ground: Ground
    checkpoints: Checkpoints
    emit: EventSink
    wait: Callable[[float], bool]
    tell_retry: TellRetry = _tell_nobody
    pacer: Pacer = field(default_factory=FixedPacer)
    governor: Governor = field(default_factory=OpenGovernor)
    most_rows: int = 0
    keeps_checkpoint: bool = False


@dataclass
class OpenBatch:
    """A batch in its transaction.

    Attributes:
        walk: its number, by ctid only.
        changed: rows that were changed, where that is known.
        found: rows that a look at the whole table found; None for other batches.
        is_clearing: whether they are none of those to be changed any more, where that is known.
        transaction: its number, by ctid only.
        upper: the end of the table now, in the last batch of a walk by ctid: another walk goes up to there.
    """

    connection: Connection
    table: WalkedTable
    key: WalkKey
    stretch: Stretch
    look: Look
    walk: int
    changed: int | None = None
    found: int | None = None
    is_clearing: bool | None = None
    transaction: int | None = None
    upper: KeyValue | None = None

    @property
    def new_rows(self) -> int:
        """How many rows it goes through for the first time."""
        return self.stretch.rows if self.walk == 1 else 0
