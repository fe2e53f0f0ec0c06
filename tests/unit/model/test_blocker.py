"""How somebody who is in the way is told, and what to do about it."""

from upgrader.model import Blocker, LockWait

SESSION = Blocker(
    4711,
    user="app",
    application_name="psql",
    client="10.0.0.5",
    backend_type="client backend",
    state="idle in transaction",
    transaction_seconds=12.34,
    query="SELECT 1",
    lock_mode="AccessShareLock",
    locked="core.invoice",
)
AUTOVACUUM = Blocker(
    9,
    backend_type="autovacuum worker",
    state="active",
    transaction_seconds=7300,
    query="autovacuum: VACUUM core.invoice (to prevent wraparound)",
    lock_mode="ShareUpdateExclusiveLock",
    locked="core.invoice",
)


def test_session():
    """Everything in one line; the remedy is a statement to copy."""
    assert SESSION.text == (
        "pid 4711 (user app, psql, 10.0.0.5), idle in transaction for 12.3 s,"
        " holds AccessShareLock on core.invoice; last: SELECT 1"
    )
    assert SESSION.remedy == "end it with SELECT pg_terminate_backend(4711)"


def test_autovacuum_that_prevents_a_wraparound():
    """It does not give way, and would only begin again: it is not to be ended."""
    assert AUTOVACUUM.prevents_wraparound
    assert "autovacuum to prevent wraparound for 2 h 1 min" in AUTOVACUUM.text
    assert AUTOVACUUM.remedy == "let it finish: pg_stat_progress_vacuum shows how far pid 9 is"


def test_autovacuum_that_gives_way():
    """An ordinary one may be ended."""
    ordinary = Blocker(9, backend_type="autovacuum worker", query="autovacuum: ANALYZE core.invoice")
    assert not ordinary.prevents_wraparound
    assert ordinary.remedy.startswith("end it with")


def test_little_is_known():
    """A session of which only the pid is known, and a prepared transaction."""
    assert Blocker(1).text == "pid 1"
    prepared = Blocker(None, gid="it's", user="app", transaction_seconds=90)
    assert prepared.text == "prepared transaction 'it''s' (user app), prepared 1 min ago"
    assert prepared.remedy == "end it with COMMIT PREPARED 'it''s' or ROLLBACK PREPARED 'it''s'"


def test_wait_for_nobody_that_can_be_seen():
    """Said as it is."""
    wait = LockWait("ShareLock", "the end of a transaction", 1.0, "now", False, ())
    assert wait.text == "waits for the end of a transaction: nobody that can be seen is in the way"
