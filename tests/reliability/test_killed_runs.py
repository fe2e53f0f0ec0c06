"""Runs that are killed, and run again until they are through: nothing is lost and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reliability.boundaries import COMMAND, CONTROL, LOCK, OWN
from tests.reliability.cases import BOUNDARY, MOMENT, Case, spread
from tests.reliability.killing import kill_at_a_moment, kill_at_boundaries
from tests.reliability.stage import Stage

_TARGETS = (OWN, OWN, OWN, LOCK, LOCK, CONTROL, COMMAND)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill."""
    spread(metafunc, MOMENT if metafunc.function is test_killed_at_a_moment else BOUNDARY)


def test_killed_at_a_boundary(case: Case, stage: Stage, note: Callable[..., None]) -> None:
    """A run that is ended at any boundary is taken up where it was."""
    kill_at_boundaries(case, stage, note, case.kills(stage.boundaries, _TARGETS))


def test_killed_at_a_moment(case: Case, stage: Stage, note: Callable[..., None]) -> None:
    """A run that is ended at a random moment, from another process, is taken up where it was."""
    kill_at_a_moment(case, stage, note)
