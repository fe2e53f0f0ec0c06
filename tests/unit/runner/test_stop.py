"""How a run is asked to stop: from a signal handler, while any thread is anywhere."""

from __future__ import annotations

import faulthandler
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from upgrader.runner.stop import StopToken


def test_nobody_is_kept_from_sleeping() -> None:
    """A token that is not set lets each one sleep; no time at all is none."""
    stop = StopToken()
    began = time.monotonic()
    assert not stop.wait(0.05)
    assert not stop.wait(0)
    assert not stop.wait(-1)
    assert 0.04 < time.monotonic() - began < 5
    assert not stop.requested


def test_a_request_wakes_all_who_sleep() -> None:
    """And whoever comes later does not begin to sleep; the first name stays."""
    stop = StopToken()
    with ThreadPoolExecutor(8) as pool:
        sleepers = [pool.submit(stop.wait, 60) for _ in range(8)]
        stop.request("SIGTERM")
        stop.request("SIGINT")
        assert [sleeper.result(timeout=10) for sleeper in sleepers] == [True] * 8
    assert stop.requested
    assert stop.wait(60)
    assert stop.signal_name == "SIGTERM"


def test_a_signal_handler_may_ask_whatever_the_thread_is_at() -> None:
    """Signals that come all the time, while the thread that handles them begins and ends to wait: nothing hangs."""
    current = [StopToken()]
    before = signal.signal(signal.SIGALRM, lambda *_: current[0].request("SIGALRM"))
    faulthandler.dump_traceback_later(60, exit=True)  # what hangs in a lock hears of no time limit
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        for _ in range(5_000):
            current[0] = stop = StopToken()
            assert stop.wait(30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
