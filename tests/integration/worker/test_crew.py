"""Who takes part in a distributed run, as its coordinator sees them: also those who come and go just as it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from tests.integration.history import make_lock
from tests.support.server import wait_until
from upgrader.database.connect import Connector
from upgrader.history.keys import LockKeys
from upgrader.runner.result import RunReport
from upgrader.worker.distributed.board import CoordinatorBoard, SeenMember
from upgrader.worker.distributed.crew import Crew
from upgrader.worker.distributed.layout import DISTRIBUTED
from upgrader.worker.distributed.member_board import MemberBoard
from upgrader.worker.layout import bring_up_to_date

KEYS = LockKeys.of("upgrader")


class _Board(CoordinatorBoard):
    """One during whose looks something happens.

    Attributes:
        after_locks: done once it has looked at the sessions of workers.
        after_rows: done once it has read their rows.
    """

    after_locks: Callable[[], None] | None = None
    after_rows: Callable[[], None] | None = None

    def present(self, member_ids: object) -> set[str]:
        found = super().present(member_ids)  # type: ignore[arg-type]  # whatever the crew hands in
        if (then := self.after_locks) is not None:
            self.after_locks = None
            then()
        return found

    def members(self) -> list[SeenMember]:
        rows = super().members()
        if (then := self.after_rows) is not None:
            self.after_rows = None
            then()
        return rows


class _Stage:
    """A run with a crew, and a worker that may join it."""

    def __init__(self, url: str, driver: psycopg.Connection) -> None:
        bring_up_to_date(driver, "upgrader_worker", parts=(DISTRIBUTED,))
        self.driver = driver
        self.board = _Board(lambda: driver, history_schema="upgrader", run_id="run1")
        self.lock = make_lock(url)
        self.report = RunReport("run1", "", "", dry_run=False, started_at=datetime.now(UTC))
        self.crew = Crew(
            self.board,
            self.lock,
            spare=self.board,
            keys=KEYS,
            report=self.report,
            stalled_seconds=60.0,
            interrupt=lambda _: None,
            holders=lambda _: {},
        )
        self.session = Connector(url).connect()
        self.worker = MemberBoard(lambda: self.session, keys=KEYS, run_id="run1", member_id="m")

    def leave(self) -> None:
        """Let the worker say that it leaves, and go."""
        self.worker.leave()
        self.session.close()

    def close(self) -> None:
        self.session.close()
        self.lock.close()

    @property
    def state(self) -> object:
        """What the worker's row says."""
        return self.driver.execute("select state from upgrader_worker.distributed_member").fetchone()

    @property
    def shut_out(self) -> bool:
        """Whether the coordinator's session holds no lock for the worker."""
        return self.driver.execute(
            "select pg_try_advisory_xact_lock_shared(%s)", [KEYS.member("run1", "m")]
        ).fetchone() == (True,)


@pytest.fixture
def stage(database_url: str, connection: psycopg.Connection) -> Iterator[_Stage]:
    with closing(_Stage(database_url, connection)) as made:
        yield made


def test_one_that_asks_is_let_in_and_one_that_leaves_has_left(stage: _Stage):
    """Nobody is lost by it."""
    stage.worker.ask("worker one")
    assert stage.crew.look().notices == ["worker one takes part"]
    assert stage.worker.is_admitted()
    stage.leave()
    assert stage.crew.look().warnings == []
    assert [one.end for one in stage.report.workers] == ["left"]
    assert stage.crew.gone_ids == {"m"}
    assert stage.shut_out


@pytest.mark.parametrize("moment", ["after_locks", "after_rows"])
def test_one_that_leaves_just_as_its_coordinator_looks(stage: _Stage, moment: str):
    """It has left, and was not lost, whenever it goes."""
    stage.worker.ask("worker one")
    stage.crew.look()
    setattr(stage.board, moment, stage.leave)
    stage.crew.look()
    stage.crew.look()
    assert [one.end for one in stage.report.workers] == ["left"]
    assert not stage.crew.lost
    assert stage.state == ("left",)


def test_one_that_asks_and_leaves_at_once(stage: _Stage):
    """It is not let in any more, and nothing waits for it."""
    stage.worker.ask("worker one")
    stage.board.after_rows = stage.leave
    assert stage.crew.look().notices == []
    assert stage.shut_out
    stage.crew.look()
    assert [one.end for one in stage.report.workers] == ["left"]
    assert not stage.crew.lost


def test_one_that_dies_is_lost(stage: _Stage):
    """Its session is gone, and it has said nothing."""
    stage.worker.ask("worker one")
    stage.crew.look()
    stage.session.close()
    wait_until(lambda: not stage.board.present(["m"]))  # the server notices in a moment
    stage.crew.look()
    assert [(one.end, one.note) for one in stage.report.workers] == [("lost", "its session ended")]
    assert stage.state == ("given-up",)
    assert stage.shut_out
