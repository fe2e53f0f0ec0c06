"""Statements that cannot run inside a transaction."""

from __future__ import annotations

import pytest

from tests.unit.lint.builders import lint, step, told
from upgrader.lint.outside_transaction import outside_only
from upgrader.model import CapturedStatement, Severity


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("create index concurrently i on t (a)", "CREATE … CONCURRENTLY"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE … CONCURRENTLY"),
        ("drop index concurrently i", "DROP … CONCURRENTLY"),
        ("reindex (verbose) table concurrently t", "REINDEX … CONCURRENTLY"),
        ("reindex index concurrently i", "REINDEX … CONCURRENTLY"),
        ("alter table t detach partition p concurrently", "ALTER … CONCURRENTLY"),
        ("vacuum analyze t", "VACUUM"),
        ("-- first\nvacuum", "VACUUM"),
        ("create database d", "CREATE DATABASE"),
        ("drop  database d", "DROP DATABASE"),
        ("create tablespace x location '/x'", "CREATE TABLESPACE"),
        ("alter system set work_mem = '1MB'", "ALTER SYSTEM"),
        ("reindex database d", "REINDEX DATABASE"),
        ("cluster", "CLUSTER"),
        ("alter database d set tablespace x", "ALTER DATABASE"),
        ("create subscription s connection '' publication p", "CREATE SUBSCRIPTION"),
        ("select 1; vacuum", "VACUUM"),
    ],
)
def test_refused(text: str, words: str):
    """Whatever PostgreSQL refuses there is found, in any case and behind comments."""
    assert outside_only(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "create index i on t (a)",
        "refresh materialized view concurrently m",
        "alter table t detach partition p",
        "alter type e add value 'x'",
        "analyze t",
        "cluster t using i",
        "reindex table t",
        "select 'create index concurrently'",
        "-- vacuum",
        "alter database d set work_mem = '1MB'",
        "create subscription s connection '' publication p with (create_slot = false)",
        "comment on table t is 'vacuum'",
        'update "vacuum" set a = 1',
    ],
)
def test_allowed(text: str):
    """And nothing else."""
    assert outside_only(text) is None


def test_finding():
    """It is an error, and takes the place of what squawk says of the same statement."""
    (finding,) = lint(step("select 1", "create index concurrently i on core.invoice (a)"))
    assert (finding.rule, finding.line, finding.severity) == (
        "concurrently-in-transaction",
        20,
        Severity.ERROR,
    )
    assert "transactional=False" in finding.remedy


def test_alone_in_its_step():
    """squawk takes a file with nothing else for one that runs outside a transaction; we know better."""
    assert told(step("drop index concurrently i")) == [(10, "concurrently-in-transaction")]


def test_outside_a_transaction():
    """It is the statement's own transaction that counts: a data migration of a step in autocommit has one."""
    inside = CapturedStatement("vacuum t", "f.py", 5, in_transaction=True)
    assert told(step("vacuum t", transactional=False)) == []
    assert told(step(inside, transactional=False)) == [(5, "concurrently-in-transaction")]
