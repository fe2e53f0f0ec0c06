"""Repeating a transaction that met a lock timeout, a deadlock or a serialization failure."""

from __future__ import annotations

import random
from dataclasses import dataclass

_MOST_DOUBLINGS = 60  # above any sensible maximum; a float has an end


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after which pauses one transaction is repeated within one attempt.

    Exponential backoff with equal jitter, so that several runners do not meet again in step (the scheme of
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Attributes:
        tries: how often the transaction is tried in all; 1 never repeats.
        initial_seconds: the longest first pause.
        maximum_seconds: the longest pause.
    """

    tries: int = 10
    initial_seconds: float = 0.5
    maximum_seconds: float = 30.0

    def pause_seconds(self, tries_done: int) -> float:
        """Give the pause after so many tries; at least half of the longest, so that a holder gets time."""
        doublings = min(tries_done - 1, _MOST_DOUBLINGS)
        longest = min(self.maximum_seconds, self.initial_seconds * 2.0**doublings)
        return longest * random.uniform(0.5, 1.0)
