"""Which job a worker is given: `take_job` in the queue's schema."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.worker_queue import SCHEMA, QueueGround

TAKE = f"select id, due_seconds from {SCHEMA}.take_job(%s, 1)".encode()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def taker(ground: QueueGround) -> psycopg.Connection[Any]:
    """The connection of a worker, whose number is 1."""
    ground.connection.execute(f"insert into {SCHEMA}.procrastinate_workers default values".encode())
    return ground.connection


def take(taker: psycopg.Connection[Any], *queues: str) -> int | None:
    row = taker.execute(TAKE, [list(queues or ["mails"])]).fetchone()
    assert row is not None
    return row[0]


def rows_read(taker: psycopg.Connection[Any]) -> int:
    """Give how many rows of the jobs' table this session has read."""
    row = taker.execute(
        "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'procrastinate_jobs'"
    ).fetchone()
    assert row is not None
    return row[0]


def add_delayed(ground: QueueGround, queue: str, count: int, *, priorities: int = 3) -> None:
    """Add jobs that are due tomorrow and later."""
    ground.connection.execute(
        f"insert into {SCHEMA}.procrastinate_jobs (queue_name, task_name, priority, args, scheduled_at)"
        " select %s, 'later', n %% %s, '{}', now() + interval '1 day' + n * interval '1 second'"
        " from generate_series(1, %s) n".encode(),
        [queue, priorities, count],
    )


def test_higher_priorities_go_first_and_the_first_added_among_equals(
    ground: QueueGround, taker: psycopg.Connection[Any]
) -> None:
    """Whether they had to wait for a time or not, and over all queues; another queue's are left."""
    low = ground.queue.add("mails", "send", priority=-1)
    timed = ground.queue.add("mails", "send", scheduled_at=LONG_AGO)
    plain = ground.queue.add("letters", "send")
    ground.queue.add("parcels", "send", priority=9)
    high = ground.queue.add("letters", "send", priority=2, scheduled_at=LONG_AGO)
    later = ground.queue.add("mails", "send", scheduled_at=LONG_AGO + timedelta(days=1))
    taken = [take(taker, "mails", "letters") for _ in range(6)]
    assert taken == [high, timed, plain, later, low, None]


def test_of_those_that_are_due_the_one_that_was_first_goes_first(
    ground: QueueGround, taker: psycopg.Connection[Any]
) -> None:
    """By their time, not by when they were added."""
    second = ground.queue.add("mails", "send", scheduled_at=LONG_AGO + timedelta(days=1))
    first = ground.queue.add("mails", "send", scheduled_at=LONG_AGO)
    assert [take(taker), take(taker)] == [first, second]


def test_without_a_job_the_next_time_is_told(ground: QueueGround, taker: psycopg.Connection[Any]) -> None:
    """The nearest of all priorities and of the worker's queues."""
    for queue, seconds, priority in (("mails", 500, 9), ("letters", 100, 0), ("parcels", 10, 0)):
        ground.queue.add(queue, "send", delay=seconds, priority=priority)
    row = taker.execute(TAKE, [["mails", "letters"]]).fetchone()
    assert row is not None
    assert row[0] is None
    assert 50 < row[1] <= 100


def test_the_highest_priority_goes_first_among_very_many_that_are_due(
    ground: QueueGround, taker: psycopg.Connection[Any]
) -> None:
    """Also where it was due last, and a higher one is not yet."""
    ground.queue.add("mails", "send", priority=9, delay=1_000)
    add_delayed(ground, "mails", 300)
    ground.connection.execute(
        f"update {SCHEMA}.procrastinate_jobs set scheduled_at = scheduled_at - interval '2 days'"
        " where priority < 9".encode()
    )
    last = ground.queue.add(
        "mails", "send", priority=5, scheduled_at=datetime.now(UTC) - timedelta(seconds=1)
    )
    assert take(taker) == last
    # Then those of add_delayed: a priority after the other, each in the order of its times.
    assert [take(taker) for _ in range(3)] == [3, 6, 9]
    taken = [take(taker) for _ in range(297)]
    assert None not in taken
    assert taken[97:100] == [2, 5, 8]
    assert take(taker) is None


@pytest.mark.parametrize("queue", ["mails", "letters"])
@pytest.mark.parametrize("priorities", [3, 5_000])
def test_jobs_that_wait_for_their_time_cost_nothing(
    ground: QueueGround, taker: psycopg.Connection[Any], queue: str, priorities: int
) -> None:
    """However many there are, and although the plans were made while there was none."""
    for _ in range(10):
        ground.queue.add("mails", "send")
        assert take(taker) is not None
    add_delayed(ground, queue, 5_000, priorities=priorities)
    number = ground.queue.add("mails", "send")
    with taker.transaction():
        before = rows_read(taker)
        assert take(taker) == number
        assert rows_read(taker) - before < 50


@pytest.mark.parametrize("moment", [None, LONG_AGO])
def test_jobs_that_are_over_cost_nothing(
    ground: QueueGround, taker: psycopg.Connection[Any], moment: datetime | None
) -> None:
    """Although they were added before those that wait, and although the plans were made while none was over."""
    taker.execute(
        f"insert into {SCHEMA}.procrastinate_jobs (queue_name, task_name, args, scheduled_at)"
        " select 'mails', 'send', '{}', %s from generate_series(1, 2000)".encode(),
        [moment],
    )
    taker.execute(f"vacuum analyze {SCHEMA}.procrastinate_jobs".encode())
    for _ in range(300):
        assert take(taker) is not None
    with taker.transaction():
        before = rows_read(taker)
        assert take(taker) is not None
        assert rows_read(taker) - before < 250  # of those that are due a hundred are looked at


def test_each_job_is_given_to_one(ground: QueueGround, taker: psycopg.Connection[Any]) -> None:
    """Several workers at once, with due ones and ready ones of several priorities."""
    for n in range(200):
        ground.queue.add("mails", "send", priority=n % 3, scheduled_at=LONG_AGO if n % 2 else None)
    taken: list[int] = []

    def work() -> None:
        with psycopg.connect(ground.url, autocommit=True) as driver:
            while (number := take(driver)) is not None:
                taken.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert take(taker) is None
    assert sorted(taken) == list(range(1, 201))


def test_a_job_that_another_has_in_hand_is_passed_over(
    ground: QueueGround, taker: psycopg.Connection[Any]
) -> None:
    """Nobody waits for it: neither for one that is being taken, nor for one that an operator changes."""
    numbers = [
        ground.queue.add("mails", "send", scheduled_at=moment) for moment in (None, None, LONG_AGO, LONG_AGO)
    ]
    with psycopg.connect(ground.url) as other:
        other.execute(
            f"select from {SCHEMA}.procrastinate_jobs where id = any(%s) for update".encode(), [numbers[::2]]
        )
        assert [take(taker) for _ in range(3)] == [numbers[1], numbers[3], None]


def test_what_is_left_goes_by_priority_while_others_have_the_best_in_hand(
    ground: QueueGround, taker: psycopg.Connection[Any]
) -> None:
    """Over queues, and over jobs with a time and without; nothing that may be taken is left."""
    held = ground.queue.add("mails", "send", priority=5)
    low = ground.queue.add("mails", "send")
    timed = ground.queue.add("mails", "send", priority=3, scheduled_at=LONG_AGO)
    other = ground.queue.add("letters", "send", priority=2)
    with psycopg.connect(ground.url) as connection:
        connection.execute(
            f"select from {SCHEMA}.procrastinate_jobs where id = %s for update".encode(), [held]
        )
        assert [take(taker, "mails", "letters") for _ in range(4)] == [timed, other, low, None]


def test_the_next_time_is_told_while_others_have_those_in_hand_that_are_due(
    ground: QueueGround, taker: psycopg.Connection[Any]
) -> None:
    """Of the same priority as them, too."""
    due = ground.queue.add("mails", "send", scheduled_at=LONG_AGO)
    ground.queue.add("mails", "send", delay=1_000)
    with psycopg.connect(ground.url) as connection:
        connection.execute(
            f"select from {SCHEMA}.procrastinate_jobs where id = %s for update".encode(), [due]
        )
        row = taker.execute(TAKE, [["mails"]]).fetchone()
    assert row is not None
    assert row[0] is None
    assert 900 < row[1] <= 1_000


def test_locks_of_procrastinate_are_kept(ground: QueueGround, taker: psycopg.Connection[Any]) -> None:
    """Of jobs that were added with one by other means, one runs at a time; the others are not held up."""
    first, second, third = (ground.queue.add("mails", "send") for _ in range(3))
    ground.connection.execute(
        f"update {SCHEMA}.procrastinate_jobs set lock = 'one' where id = any(%s)".encode(), [[first, second]]
    )
    assert [take(taker) for _ in range(3)] == [first, third, None]
    ground.finish(first or 0)
    assert take(taker) == second
