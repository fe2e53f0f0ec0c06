"""An engine with the tables, and what its sessions tell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.worker.workspace_events.place import Told, make_engine, tracked_sessions


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine of the test's own database."""
    made = make_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def told() -> Told:
    """What was told."""
    return Told()


@pytest.fixture
def sessions(engine: Engine, told: Told) -> Iterator[sessionmaker[Session]]:
    """Makes sessions that are tracked."""
    with tracked_sessions(engine, told) as maker:
        yield maker
