"""What the checks make of facts."""

from dataclasses import replace

import pytest

from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.connections import connections
from upgrader.preflight.facts import (
    Capacity,
    Facts,
    IdleSlot,
    InvalidIndex,
    OpenTransaction,
    PreparedTransaction,
    Privileges,
    Some,
    Vacuum,
    WorkspaceTable,
)
from upgrader.preflight.look import judge
from upgrader.preflight.pooling import Pooling, ProxyKind
from upgrader.preflight.server import pooling_findings

GOOD = Facts(database="app", user="app", version="18.4", backend_pid=1)


def only(facts: Facts) -> PreflightFinding:
    (finding,) = judge(facts)
    return finding


def test_nothing_is_found_where_nothing_is_wrong():
    """An empty database with a role that may do what it needs."""
    assert list(judge(GOOD)) == []


def test_standby_is_refused_and_its_primary_named():
    """It is read-only as well, which is told once."""
    finding = only(
        replace(GOOD, is_standby=True, standby_of="host db1 port 5432", read_only_by="configuration file")
    )
    assert (finding.name, finding.level) == (PreflightCheck.STANDBY, PreflightLevel.REFUSE)
    assert "host db1 port 5432" in finding.hint
    assert "target_session_attrs=read-write" in finding.hint


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("database", "ALTER DATABASE app RESET"),
        ("user", "ALTER ROLE app RESET"),
        ("database user", "ALTER ROLE app IN DATABASE app RESET"),
        ("configuration file", "by configuration file"),
    ],
)
def test_read_only_sessions_are_refused_with_what_turns_it_off(source: str, words: str):
    """By where the setting comes from."""
    finding = only(replace(GOOD, read_only_by=source))
    assert (finding.name, finding.level) == (PreflightCheck.READ_ONLY, PreflightLevel.REFUSE)
    assert words in finding.hint


def test_role_that_owns_nothing_is_warned_of_only_where_there_is_something_to_own():
    """In an empty database it will own what it makes."""
    nothing = replace(GOOD, privileges=Privileges(owns_tables=False, table_exists=False))
    assert list(judge(nothing)) == []
    finding = only(replace(GOOD, privileges=Privileges(owns_tables=False, table_exists=True)))
    assert (finding.name, finding.level) == (PreflightCheck.ROLE, PreflightLevel.WARN)


def test_policies_that_hide_workspaces_refuse():
    """With the way out for a role that sees all of them."""
    finding = only(replace(GOOD, workspace_table=WorkspaceTable("core.workspace", ("own_rows",))))
    assert (finding.name, finding.level) == (PreflightCheck.ROW_SECURITY, PreflightLevel.REFUSE)
    assert "own_rows" in finding.message
    assert "BYPASSRLS" in finding.hint
    assert list(judge(replace(GOOD, workspace_table=WorkspaceTable("core.workspace")))) == []


def test_long_transactions_are_named_cut_and_counted():
    """Pid, user, program, age, state and query on one line; the rest is a number."""
    one = OpenTransaction(
        4711, "web", "web-1", 7500.0, "idle in transaction", "select *\n  from t" + " " * 9 + "x" * 500
    )
    finding = only(replace(GOOD, transactions=Some((one,), 3)))
    assert finding.level is PreflightLevel.WARN
    for words in (
        "pid 4711 (web, web-1)",
        "2 h 5 min",
        "idle in transaction",
        "select * from t x",
        "and 2 more",
    ):
        assert words in finding.message
    assert "x" * 200 not in finding.message
    assert "pg_terminate_backend(4711)" in finding.hint


def test_transaction_of_which_little_is_known_is_named_all_the_same():
    """No user, no program, no query."""
    finding = only(replace(GOOD, transactions=Some((OpenTransaction(7, None, "", 301.0, None, None),), 1)))
    assert "pid 7 (unknown role) for 5 min, state unknown" in finding.message


def test_sessions_that_the_role_may_not_see_are_told():
    """As a note: the role that upgrades seldom may see others."""
    finding = only(replace(GOOD, privileges=Privileges(hidden_sessions=2)))
    assert finding.level is PreflightLevel.INFO
    assert "2 sessions" in finding.message
    assert "pg_read_all_stats" in finding.hint


def test_prepared_transaction_is_named_with_what_ends_it():
    """Its gid, quoted."""
    finding = only(replace(GOOD, prepared=Some((PreparedTransaction("it's", "app", 200_000.0),), 1)))
    assert finding.level is PreflightLevel.WARN
    assert "'it''s' of app, for 2 days" in finding.message
    assert "COMMIT PREPARED 'it''s';" in finding.hint


def test_vacuum_against_wraparound_is_named():
    """It does not give way."""
    vacuum = Vacuum(5, 65.0, "autovacuum: VACUUM core.invoice (to prevent wraparound)")
    finding = only(replace(GOOD, vacuums=Some((vacuum,), 1)))
    assert finding.name is PreflightCheck.WRAPAROUND_VACUUM
    assert "core.invoice" in finding.message


def test_invalid_indexes_and_slots_are_named():
    """With the statement that removes the first."""
    index, slot = InvalidIndex("core.i", "core.t"), IdleSlot("replica", "physical", 5 * 1024**3)
    found = list(judge(replace(GOOD, indexes=Some((index,), 2), slots=Some((slot,), 1))))
    assert [one.name for one in found] == [PreflightCheck.INVALID_INDEXES, PreflightCheck.REPLICATION_SLOTS]
    assert "2 invalid indexes that nobody is building: core.i on core.t; and 1 more" in found[0].message
    assert "DROP INDEX CONCURRENTLY core.i;" in found[0].hint
    assert "replica (physical, keeps 5.0 GB)" in found[1].message
    assert "pg_drop_replication_slot('replica')" in found[1].hint


@pytest.mark.parametrize(
    ("pooling", "level"),
    [
        (Pooling(ProxyKind.TRANSACTIONS), PreflightLevel.REFUSE),
        (Pooling(ProxyKind.SESSIONS_ONE), PreflightLevel.REFUSE),
        (Pooling(ProxyKind.SESSIONS, takes_settings=False), PreflightLevel.WARN),
        (Pooling(ProxyKind.SESSIONS), PreflightLevel.INFO),
    ],
)
def test_proxies_by_what_they_do_to_sessions(pooling: Pooling, level: PreflightLevel):
    """Taken apart: refused. Kept: a note, or a warning where settings get lost."""
    (finding,) = pooling_findings(pooling)
    assert (finding.name, finding.level) == (PreflightCheck.POOLING_PROXY, level)
    assert "direct URL" in finding.hint


def test_direct_connection_is_no_finding():
    """Nothing stands in between."""
    assert list(pooling_findings(Pooling())) == []


@pytest.mark.parametrize(
    ("capacity", "lanes", "words"),
    [
        (Capacity(5), 4, None),
        (Capacity(4), 4, ("4 connections more to be had on the server", "--jobs 3")),
        (Capacity(100, database=2, role=9), 4, ("for the database app", "--jobs 1")),
        (Capacity(100, database=9, role=1), 1, ("for the role app", 'ALTER ROLE "app" CONNECTION LIMIT')),
        (Capacity(-3), 1, ("0 connections more", "max_connections")),
        (None, 500, None),
    ],
)
def test_the_narrowest_limit_of_connections_decides(
    capacity: Capacity | None, lanes: int, words: tuple[str, str] | None
):
    """One connection is open already; every lane needs one and the history another. What fits is said."""
    found = list(connections(replace(GOOD, capacity=capacity), lanes=lanes))
    if words is None:
        assert found == []
        return
    (finding,) = found
    assert (finding.name, finding.level) == (PreflightCheck.CONNECTIONS, PreflightLevel.REFUSE)
    assert words[0] in finding.message
    assert words[1] in finding.hint


@pytest.mark.parametrize(
    ("capacity", "least"),
    [(Capacity(5), 5), (Capacity(9, database=7, role=3), 3), (Capacity(9, database=2), 2), (Capacity(-3), 0)],
)
def test_the_narrowest_limit_says_how_many_connections_are_left(capacity: Capacity, least: int) -> None:
    """A server that is more than full has none left, not fewer."""
    assert capacity.least == least
