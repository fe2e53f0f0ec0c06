"""What a job is made of in the queue's table: its payload as JSON, and what it was told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upgrader.errors import UpgraderError
from upgrader.settings.worker import check_queue_name, check_timezone
from upgrader.worker.options import Backoff, QueueJobOptions, seconds_of
from upgrader.worker.scheduling.cron import parse_cron

LONGEST_QUEUE_BYTES = (
    40  # PostgreSQL's channels have 63, of which Procrastinate takes 23 for a name of its own
)
LONGEST_NAME = 128  # characters, in Procrastinate's table
LONGEST_ID_BYTES = 1_024  # an index holds it
_SMALLEST_PRIORITY, _LARGEST_PRIORITY = -(2**31), 2**31 - 1
_LONGEST_SECONDS = 10**10  # three hundred years: datetime holds the time that is so far from now
_AT_ONCE = Backoff()
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class QueueJobError(UpgraderError, ValueError):
    """A job cannot be queued as it stands."""


@dataclass(frozen=True, slots=True)
class JobArguments:
    """What stands in the column `args`.

    Attributes:
        payload: what JSON holds.
        attempts: it is tried so often in all.
        backoff: the rests between them.
        id: under which it waited; for people: the column of its own is free once it is worked on.
    """

    payload: Any = None
    attempts: int = 1
    backoff: Backoff = _AT_ONCE
    id: str | None = None

    @classmethod
    def of_row(cls, args: Any) -> JobArguments:
        """Read them.

        Raises:
            QueueJobError: this program did not write them.
        """
        try:
            attempts, backoff = args.get("attempts", 1), args.get("backoff", ())
            if not isinstance(attempts, int) or not all(isinstance(one, int | float) for one in backoff):
                raise TypeError
            return cls(args.get("payload"), attempts, Backoff(*backoff), args.get("id"))
        except (AttributeError, TypeError, ValueError) as error:
            raise QueueJobError(
                "the job's arguments cannot be read: JobQueue did not write them",
                hint="add jobs with JobQueue.add or JobQueue.add_cron",
            ) from error

    def to_json(self) -> str:
        """Write them; what is as by default is left out.

        Raises:
            QueueJobError: the payload is nothing that JSON in PostgreSQL can hold.
        """
        fields: dict[str, Any] = {"payload": _plain(self.payload)}
        if self.attempts != 1:
            fields["attempts"] = self.attempts
        if self.backoff != _AT_ONCE:
            fields["backoff"] = [
                self.backoff.delay_seconds,
                self.backoff.factor,
                self.backoff.max_seconds,
            ]
        if self.id is not None:
            fields["id"] = self.id
        try:
            text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
            text.encode()
        except ValueError as error:  # NaN, a lone surrogate
            raise _no_json(str(error)) from error
        if _NUL.search(text):
            raise _no_json("PostgreSQL's JSON holds no NUL character")
        return text


def check_queue(queue: str) -> str:
    """Give the name of a queue.

    Raises:
        QueueJobError: it is none.
    """
    try:
        return check_queue_name(queue)
    except ValueError as error:
        raise QueueJobError(str(error), hint="name the queue in letters, such as mails") from None


def check_name(name: str) -> str:
    """Give the name of a job.

    Raises:
        QueueJobError: it is none.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise QueueJobError(
            f"{name!r} is no name of a job",
            hint=f"up to {LONGEST_NAME} printable characters, such as mail.send",
        )
    return name


def check_id(id_: str | None) -> str | None:
    """Give the id that a job waits under.

    Raises:
        QueueJobError: it is too long, or PostgreSQL's text cannot hold it.
    """
    if id_ is None:
        return None
    size = len(id_.encode(errors="replace"))
    # What PostgreSQL's text does not hold: NUL characters, and halves of surrogate pairs.
    is_text = "\x00" not in id_ and not any("\ud800" <= one <= "\udfff" for one in id_)
    if not 0 < size <= LONGEST_ID_BYTES or not is_text:
        raise QueueJobError(
            f"{id_[:40]!r} is no id of a waiting job",
            hint=f"1 to {LONGEST_ID_BYTES} bytes in UTF-8, no NUL character",
        )
    return id_


def check_schedule(cron: str, timezone: str | None) -> None:
    """Refuse what is no cron expression, or no time zone.

    Raises:
        QueueJobError: it is none.
    """
    try:
        parse_cron(cron)
        if timezone is not None:
            check_timezone(timezone)
    except ValueError as error:
        raise QueueJobError(
            str(error), hint="write '0 30 9 * * 1-5': seconds first, or five fields"
        ) from None


def check_numbers(*, priority: int, attempts: int, delay_seconds: float, backoff: Backoff = _AT_ONCE) -> None:
    """Refuse what the queue cannot hold.

    Raises:
        QueueJobError: one of them is out of its range.
    """
    if attempts < 1:
        raise QueueJobError(
            f"a job cannot be tried {attempts} times", hint="attempts is 1 or more: 3 means three tries"
        )
    if not _SMALLEST_PRIORITY <= priority <= _LARGEST_PRIORITY:
        raise QueueJobError(
            f"the priority {priority} is out of range", hint="it is a 32-bit integer, higher goes first"
        )
    if not 0 <= delay_seconds < _LONGEST_SECONDS:
        raise QueueJobError(f"a job cannot wait for {delay_seconds} seconds", hint="delay is 0 or more")
    numbers = (backoff.delay_seconds, backoff.factor, backoff.max_seconds)
    if not all(isinstance(one, int | float) and 0 <= one < _LONGEST_SECONDS for one in numbers):
        raise QueueJobError(
            f"a job cannot rest as {backoff!r} says",
            hint="delay_seconds, factor and max_seconds are numbers, 0 or more: Backoff.exponential(2.0)",
        )


def check_time(scheduled_at: datetime | None, *, delay_seconds: float) -> None:
    """Refuse a time that is none, or one beside a delay.

    Raises:
        QueueJobError: it has no time zone, or there is a delay, too.
    """
    if scheduled_at is not None and scheduled_at.utcoffset() is None:
        raise QueueJobError(
            f"scheduled_at has no time zone: {scheduled_at.isoformat()}",
            hint="give datetime(…, tzinfo=UTC), or another zone",
        )
    if scheduled_at is not None and delay_seconds:
        raise QueueJobError("a job has both delay and scheduled_at", hint="give one of the two")


def check_options(options: QueueJobOptions) -> None:
    """Refuse options with which no job could be added.

    Raises:
        QueueJobError: one of them is out of its range.
    """
    delay = seconds_of(options.delay)
    check_numbers(
        priority=options.priority, attempts=options.attempts, delay_seconds=delay, backoff=options.backoff
    )
    check_time(options.scheduled_at, delay_seconds=delay)
    check_id(options.id)


def _plain(payload: Any) -> Any:
    """Give a payload as JSON holds it: models, dates, UUIDs and data classes as pydantic writes them."""
    if payload is None or type(payload) in (str, int, bool):
        return payload
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(payload)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise _no_json(str(error)) from error


def _no_json(why: str) -> QueueJobError:
    return QueueJobError(
        f"the payload of the job is no JSON: {why}",
        hint="give texts, numbers, lists, dictionaries or pydantic models",
    )
