"""Limits of webhooks that several workers keep together, in the queue's database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.server import with_parameters
from upgrader.database.connect import Connector
from upgrader.worker.layout import bring_up_to_date
from upgrader.worker.workspace_events.delivery import DeliverLaterError
from upgrader.worker.workspace_events.webhooks.limits import EndpointLimits, Limit
from upgrader.worker.workspace_events.webhooks.places import Place
from upgrader.worker.workspace_events.webhooks.shared_places import SharedPlaces

SCHEMA = "upgrader_worker"


@contextmanager
def places(url: str) -> Iterator[SharedPlaces]:
    """Give the places as one worker has them."""
    made = SharedPlaces(Connector(url, "upgrader/places"), schema=SCHEMA)
    yield made
    made.close()


@pytest.fixture
def url(database_url: str, connection: psycopg.Connection) -> str:
    """Give a database with the runtime's tables."""
    bring_up_to_date(connection, SCHEMA)
    return database_url


def test_at_a_time_of_all_workers(url: str) -> None:
    """What one worker sends takes a place from the other; it is free again when the request is over."""
    with places(url) as mine, places(url) as other:
        limits, others = EndpointLimits(mine), EndpointLimits(other)
        with limits.place("a", Limit(1)):
            with pytest.raises(DeliverLaterError) as caught, others.place("a", Limit(1)):
                raise AssertionError
            with others.place("b", Limit(1)):
                pass
        assert 0 < caught.value.seconds <= 60
        with others.place("a", Limit(1)):
            pass


def test_a_second_of_all_workers(url: str) -> None:
    """The time of the next request is that of all workers, by the database's clock."""
    with places(url) as mine, places(url) as other:
        with EndpointLimits(mine).place("a", Limit(9, 0.05)):
            pass
        with (
            pytest.raises(DeliverLaterError) as caught,
            EndpointLimits(other).place("a", Limit(9, 0.05)),
        ):
            raise AssertionError
    assert 5 < caught.value.seconds <= 20


def test_many_at_once(url: str) -> None:
    """Nobody's change is lost where several change a place in the same moment."""
    crowd, changes = 6, 40
    together = threading.Barrier(crowd)

    def work(_: int) -> None:
        with places(url) as mine:
            together.wait(30)
            for _ in range(changes):
                mine.change("a", count)

    def count(place: Place, now: float) -> None:
        assert now > 1e9
        place.free_at += 1

    with ThreadPoolExecutor(crowd) as threads:
        list(threads.map(work, range(crowd)))
    with places(url) as mine:
        assert mine.change("a", lambda place, _: place.free_at) == crowd * changes


def test_a_dead_worker_gives_its_place_back(url: str) -> None:
    """It is free as soon as its request cannot be at work any more."""
    with places(url) as mine, places(url) as other:
        held = EndpointLimits(mine).place("a", Limit(1, longest_seconds=0.5))
        held.__enter__()
        others = EndpointLimits(other)
        deadline = time.monotonic() + 30
        while True:
            try:
                with others.place("a", Limit(1)):
                    break
            except DeliverLaterError as later:
                assert time.monotonic() < deadline
                time.sleep(min(later.seconds, 0.1))


def test_without_the_database(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost for it: this process counts for itself, and says so once."""
    away = with_parameters(url, host="/nowhere")
    with places(away) as mine, caplog.at_level(logging.WARNING):
        limits = EndpointLimits(mine)
        with (
            limits.place("a", Limit(1)),
            pytest.raises(DeliverLaterError),
            limits.place("a", Limit(1)),
        ):
            raise AssertionError
    told = "limits of webhooks hold in this process alone for the time being: cannot connect"
    assert [record.message[: len(told)] for record in caplog.records] == [told]


def test_whom_others_overtake_each_time(
    url: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts for itself, says so once, and counts with the others as soon as they let it."""

    def overtaken(place: Place, _: float) -> None:
        connection.execute("update upgrader_worker.webhook_place set version = version + 1")
        place.free_at += 1

    with places(url) as mine, caplog.at_level(logging.WARNING):
        mine.change("a", overtaken)
        mine.change("a", overtaken)
        assert mine.change("a", lambda place, _: place.free_at) == 0
    assert [record.message for record in caplog.records] == [
        "limits of webhooks hold in this process alone for the time being: other workers were quicker each time"
    ]


def test_what_nobody_uses_is_forgotten(url: str, connection: psycopg.Connection) -> None:
    """Endpoints that are gone leave no rows; no URL stands in them."""
    with places(url) as mine:
        for name in ("old https://example.org/token", "young https://example.org/token"):
            mine.change(name, lambda place, _: place.turn(1, 1))
        connection.execute("update upgrader_worker.webhook_place set used_at = used_at - interval '2 days'")
        mine.change("young https://example.org/token", lambda place, _: place.turn(1, 1))
        mine.change("new", lambda place, _: place.turn(1, 1))
        kept = connection.execute("select endpoint from upgrader_worker.webhook_place").fetchall()
    assert len(kept) == 2
    assert "example" not in str(kept)
