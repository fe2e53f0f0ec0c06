"""How much is sent to an endpoint; the clock is the test's."""

from __future__ import annotations

import pytest

from upgrader.worker.workspace_events.delivery import DeliverLaterError
from upgrader.worker.workspace_events.webhooks.limits import EndpointLimits, Limit


def test_limits_at_a_time() -> None:
    """What does not fit goes back to the queue; another endpoint has its own."""
    limits = EndpointLimits()
    with limits.place("a", Limit(1)):
        with pytest.raises(DeliverLaterError), limits.place("a", Limit(1)):
            raise AssertionError
        with limits.place("b", Limit(1)):
            pass
    with limits.place("a", Limit(1)):
        pass


def test_limits_a_second() -> None:
    """The next may be sent when its time has come; the error says when."""
    now = 100.0
    limits = EndpointLimits(now=lambda: now)
    with limits.place("a", Limit(9, 4)):
        pass
    now += 0.1
    with pytest.raises(DeliverLaterError) as caught, limits.place("a", Limit(9, 4)):
        raise AssertionError
    assert caught.value.seconds == pytest.approx(0.15)
    now += 0.15
    with limits.place("a", Limit(9, 4)):
        pass


def test_each_has_a_turn_of_its_own() -> None:
    """What is sent back comes again one after the other: all at once they would only be sent back again."""
    now = 100.0
    slept: list[float] = []
    limits = EndpointLimits(now=lambda: now, sleep=slept.append)

    def turns(count: int, limit: Limit) -> list[float]:
        found = []
        for _ in range(count):
            with pytest.raises(DeliverLaterError) as caught, limits.place("a", limit):
                raise AssertionError
            found.append(round(caught.value.seconds, 6))
        return found

    a_second = Limit(9, 2)
    with limits.place("a", a_second):
        assert turns(3, a_second) == [0.5, 1.0, 1.5]
    now += 0.48  # a little early is waited for
    with limits.place("a", a_second):
        pass
    assert slept == [pytest.approx(0.02)]
    assert turns(1, a_second) == [1.52]
    now += 3_600
    with limits.place("a", a_second):
        assert turns(2, a_second) == [0.5, 1.0]


def test_turns_follow_how_long_requests_take() -> None:
    """They come about as often as a place is free, and none is too far away: an endpoint may get faster."""
    now = 100.0
    limits = EndpointLimits(now=lambda: now)
    limit = Limit(1)

    def turns(count: int) -> list[float]:
        found = []
        with limits.place("a", limit):
            for _ in range(count):
                with pytest.raises(DeliverLaterError) as caught, limits.place("a", limit):
                    raise AssertionError
                found.append(round(caught.value.seconds, 6))
        return found

    assert turns(3) == [0.05, 0.1, 0.15]
    for _ in range(40):
        with limits.place("a", limit):
            now += 10
    slow = turns(20)
    assert slow[0] == pytest.approx(5, abs=0.1)
    assert slow[1] - slow[0] == pytest.approx(5, abs=0.1)
    assert slow[-1] == 60.0


def test_a_place_of_a_request_that_never_ends() -> None:
    """It is free once no request of it can be at work any more: its worker may have died."""
    now = 100.0
    limits = EndpointLimits(now=lambda: now)
    limit = Limit(1, longest_seconds=20)
    held = limits.place("a", limit)
    held.__enter__()
    now += 19
    with pytest.raises(DeliverLaterError), limits.place("a", limit):
        raise AssertionError
    now += 2
    with limits.place("a", limit):
        held.__exit__(None, None, None)
        with (
            pytest.raises(DeliverLaterError),
            limits.place("a", limit),
        ):  # the late end gives back its own alone
            raise AssertionError
