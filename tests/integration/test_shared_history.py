"""The history's connection is shared by all lanes of a run: nobody's questions get into a transaction of another."""

import psycopg
from psycopg.pq import TransactionStatus

from tests.integration.history import make_history
from upgrader.database.connect import Connector
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt, AttemptStatus, Scope


def running(workspace_id: str) -> Attempt:
    return Attempt(
        name="1.0.0_IndexThing_1",
        kind="workspace",
        version="1.0.0",
        scope=Scope(workspace_id),
        status=AttemptStatus.RUNNING,
        attempt=1,
        executed_by_version="1.0.0",
        checksum="v1:abc",
    )


def test_row_that_is_written_while_another_lane_reads_is_committed(database_url: str) -> None:
    """Steps read the few earlier attempts at themselves while other lanes write: each statement commits by itself."""
    make_history(database_url)
    with Connector(database_url).connect() as driver, psycopg.connect(database_url, autocommit=True) as other:
        store = SqlHistoryStore(lambda: driver, "upgrader")
        assert store.start(running("a"))
        assert store.start(running("b"))
        reading = store.attempts(AttemptFilter(limit=100))
        next(reading)

        assert driver.info.transaction_status is TransactionStatus.IDLE
        assert store.start(running("c"))

        assert other.execute("select count(*) from upgrader.history").fetchall() == [(3,)]
        assert [attempt.scope.workspace_id for attempt in reading] == ["a"]
