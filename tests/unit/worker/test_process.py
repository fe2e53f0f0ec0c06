"""A worker that was asked to end does, whatever its database is at."""

from __future__ import annotations

import time

import pytest

from tests.support.server import wait_until
from upgrader.runner.stop import StopToken
from upgrader.worker.process import ending_at_the_latest


def test_a_worker_that_hangs_after_a_signal_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    """Once the time is over, and not before anybody has asked."""
    stop, ended = StopToken(), list[str]()
    with ending_at_the_latest(stop, seconds=0.05, at_once=lambda: ended.append("ended"), look_seconds=0.01):
        assert not stop.wait(0.2)
        assert ended == []
        stop.request("SIGTERM")
        wait_until(lambda: ended == ["ended"])
    assert "the database does not answer" in caplog.text


def test_a_worker_that_ends_in_time_is_left_alone() -> None:
    """Its time goes by without anything."""
    stop, ended = StopToken(), list[str]()
    with ending_at_the_latest(stop, seconds=0.3, at_once=lambda: ended.append("ended"), look_seconds=0.01):
        stop.request("SIGTERM")
    time.sleep(0.5)  # longer than the time that it had
    assert ended == []
