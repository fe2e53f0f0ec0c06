"""The database before the upgrade, the fault that the demo plants, and the proof that nothing is lost."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError

from upgrader.demo.before import prepare
from upgrader.demo.fault import plant_fault, repair
from upgrader.demo.sample import prepare_sample
from upgrader.demo.verify import Discrepancy, verify
from upgrader.errors import OperatorError

_REQUIRE_LATITUDE = text("ALTER TABLE workspace_pt.city ADD CHECK (latitude BETWEEN -90 AND 90)")


@pytest.fixture
def engine(database_url: str) -> Engine:
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database_url), poolclass=NullPool
    )


@pytest.fixture
def prepared(engine: Engine) -> Iterator[Connection]:
    """The state before the upgrade, in a transaction that the test may throw away."""
    with engine.begin() as connection:
        prepare(connection)
        yield connection


def test_every_city_is_in_its_workspace(prepared: Connection):
    """Counts and sums by workspace are those of the files, and so are the totals."""
    assert verify(prepared) == []

    schemas = prepared.scalars(text("SELECT database_schema FROM core.workspace")).all()
    everything = " UNION ALL ".join(f"SELECT population FROM {schema}.city" for schema in schemas)
    totals = prepared.execute(text(f"SELECT count(*), sum(population) FROM ({everything}) AS city"))
    assert tuple(totals.one()) == (34_006, 3_932_182_704)


def test_workspaces_are_mostly_active(prepared: Connection):
    """All 244 are there; those out of scope are few."""
    statuses = prepared.execute(text("SELECT activation_status, count(*) FROM core.workspace GROUP BY 1"))

    assert dict(statuses.all()) == {"ACTIVE": 229, "SUSPENDED": 8, "INACTIVE": 7}


def test_instance_tables_have_rows_to_migrate(prepared: Connection):
    """Every workspace has its subscription and two years of invoices, in the spellings of old code."""
    assert prepared.scalar(text("SELECT count(*) FROM core.country")) == 252
    assert prepared.scalar(text("SELECT count(*) FROM core.subscription")) == 244
    assert prepared.scalar(text("SELECT count(*) FROM core.invoice")) == 244 * 24
    statuses = prepared.scalars(text("SELECT DISTINCT status FROM core.invoice"))
    assert set(statuses) == {"open", "Open", "paid", "Paid", "PAID"}


def test_nothing_is_there_before_the_caller_commits(engine: Engine):
    """All of it is one transaction."""
    with engine.connect() as connection:
        prepare(connection)
        connection.rollback()
        assert connection.scalar(text("SELECT to_regclass('core.workspace')")) is None


def test_a_commit_keeps_it(engine: Engine):
    with engine.connect() as connection:
        prepare(connection)
        connection.commit()
    with engine.connect() as connection:
        assert verify(connection) == []


def test_a_database_with_the_schema_is_refused(prepared: Connection):
    """The second time is the operator's mistake, and changes nothing."""
    with pytest.raises(OperatorError, match="schema `core` already") as refusal:
        prepare(prepared)

    assert refusal.value.hint is not None
    assert verify(prepared) == []


def test_a_lost_city_is_found(prepared: Connection):
    prepared.execute(text("DELETE FROM workspace_in.city WHERE name = 'Mumbai'"))

    (discrepancy,) = verify(prepared)

    assert discrepancy.country_iso == "IN"
    assert discrepancy.found is not None
    assert discrepancy.expected.cities - discrepancy.found.cities == 1


def test_a_lost_workspace_is_found(prepared: Connection):
    """Also where its row is still there."""
    prepared.execute(text("DROP SCHEMA workspace_va CASCADE"))

    assert [(found.country_iso, found.found) for found in verify(prepared)] == [("VA", None)]


def test_an_empty_database_has_lost_everything(engine: Engine):
    with engine.connect() as connection:
        discrepancies = verify(connection)

    assert len(discrepancies) == 244
    assert all(isinstance(found, Discrepancy) and found.found is None for found in discrepancies)


def test_the_fault_is_one_that_a_constraint_finds(prepared: Connection):
    """Planted, the constraint cannot be added; repaired, it can, and nothing is lost."""
    fault = plant_fault(prepared)
    with pytest.raises(IntegrityError), prepared.begin_nested():
        prepared.execute(_REQUIRE_LATITUDE)
    assert [found.country_iso for found in verify(prepared)] == ["PT"]

    repair(prepared, fault)
    prepared.execute(_REQUIRE_LATITUDE)

    assert verify(prepared) == []


def test_the_fault_lies_in_a_workspace_in_scope(prepared: Connection):
    """It can be planted twice, and names the workspace by its id."""
    assert plant_fault(prepared) == plant_fault(prepared)
    status = prepared.scalar(
        text("SELECT activation_status FROM core.workspace WHERE id = CAST(:id AS uuid)"),
        {"id": plant_fault(prepared).workspace_id},
    )
    assert status == "ACTIVE"


def test_a_sample_has_something_of_everything(engine: Engine):
    """A few workspaces, in and out of scope; the same tables, none of them empty."""
    with engine.connect() as connection:
        prepare_sample(connection)
        statuses = connection.execute(
            text("SELECT activation_status, count(*) FROM core.workspace GROUP BY 1")
        )
        assert dict(statuses.all()) == {"ACTIVE": 4, "SUSPENDED": 2, "INACTIVE": 1}
        schemas = connection.scalars(text("SELECT database_schema FROM core.workspace")).all()
        for table in ("core.subscription", "core.invoice", *(f"{schema}.city" for schema in schemas)):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) > 0, table
        connection.rollback()
