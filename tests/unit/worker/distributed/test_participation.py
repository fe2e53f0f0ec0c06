"""A worker that is invited to a run, and cannot take part in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from upgrader.errors import ConnectionLostError, DatabaseUnavailableError, LoadingError, Problem
from upgrader.worker.distributed import worker
from upgrader.worker.distributed.worker import Participation


class _Unfit:
    """Stands for an upgrader whose every attempt to take part fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tries = 0

    @contextmanager
    def taking_part(self, run_id: str) -> Iterator[Any]:
        """Fail."""
        assert run_id == "4711"
        self.tries += 1
        raise self.error
        yield


@pytest.fixture(autouse=True)
def without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not rest between tries."""
    monkeypatch.setattr(worker, "_REST_SECONDS", 0.0)


def bring_lanes(error: Exception) -> tuple[int, list[str]]:
    """Bring two lanes; give how often it was tried, and what was said."""
    upgrader: Any = _Unfit(error)
    said: list[str] = []
    participation = Participation(upgrader, say=said.append)
    for _ in range(2):
        participation.bring_lane("4711")
    return upgrader.tries, said


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailableError("cannot connect"),
        ConnectionLostError("the server ended the connection"),
        psycopg.errors.AdminShutdown("terminating connection\nby command"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_may_be_there_again(error: Exception) -> None:
    """A sentence, not a job that fails with a traceback; the next invitation is followed."""
    tries, said = bring_lanes(error)
    told = " ".join(str(error).split())
    assert (tries, said) == (2, [f"takes no part in run 4711: {told}"] * 2)


def test_code_that_cannot_be_loaded() -> None:
    """That does not change while the process lives: it is said once."""
    tries, said = bring_lanes(LoadingError([Problem("no such version", ("a.py",))]))
    assert (tries, said) == (
        1,
        ["takes no part in run 4711: 1 problem in the command modules; no such version"],
    )
