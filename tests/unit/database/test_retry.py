"""How long a transaction rests before it is tried again."""

from __future__ import annotations

import pytest

from upgrader.database.retry import RetryPolicy

LONGEST = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_defaults_are_those_that_are_promised():
    """Ten tries, from half a second to half a minute."""
    policy = RetryPolicy()
    assert (policy.tries, policy.initial_seconds, policy.maximum_seconds) == (10, 0.5, 30.0)


@pytest.mark.parametrize(("tries_done", "longest"), list(enumerate(LONGEST, start=1)))
def test_pauses_double_up_to_the_longest(tries_done: int, longest: float):
    """Between half of it and all of it."""
    pauses = [RetryPolicy().pause_seconds(tries_done) for _ in range(200)]
    assert longest / 2 <= min(pauses)
    assert max(pauses) <= longest


def test_two_runners_do_not_meet_again_in_step():
    """Pauses of one length differ."""
    assert len({RetryPolicy().pause_seconds(3) for _ in range(50)}) > 25


def test_a_very_patient_command_is_not_ended_by_arithmetic():
    """After thousands of tries the pause is the longest one."""
    policy = RetryPolicy(tries=10_000, initial_seconds=0.001, maximum_seconds=0.01)
    assert 0.005 <= policy.pause_seconds(9_999) <= 0.01
