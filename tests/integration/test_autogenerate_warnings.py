"""What is written all the same, or is not, and has to be told."""

from __future__ import annotations

import pytest

from tests.support.models import ModelProject, create_all, metadata_of
from tests.support.project import Project

_HEAD = """
from sqlalchemy import *
metadata = MetaData(schema="core")
"""
BEFORE = (
    _HEAD
    + """
Table("invoice", metadata, Column("id", BigInteger, primary_key=True), Column("number", BigInteger, nullable=False),
      Column("amount", BigInteger, nullable=False), CheckConstraint("amount >= 0", name="amount_check"))
"""
)


@pytest.fixture
def models(project: Project) -> ModelProject:
    """A project whose database has the models from before."""
    made = ModelProject(project)
    made.models(BEFORE)
    create_all(project.database_url, metadata_of(BEFORE), "core")
    return made


@pytest.mark.parametrize(
    ("column", "is_told"),
    [
        ('Column("t", Uuid, nullable=False, server_default=func.gen_random_uuid())', True),
        ('Column("t", DateTime(timezone=True), server_default=func.clock_timestamp())', True),
        (
            'Column("t", BigInteger, Sequence("s", metadata=metadata), server_default=text("nextval(\'core.s\')"))',
            True,
        ),
        ('Column("t", DateTime(timezone=True), nullable=False, server_default=func.now())', False),
        ('Column("t", Text, nullable=False, server_default="100%")', False),
        ('Column("t", Text)', False),
    ],
)
def test_defaults_that_rewrite_the_table(models: ModelProject, column: str, is_told: bool):
    """A default that is another one for each row is told of; one that the server notes for old rows is not."""
    models.models(BEFORE.replace('CheckConstraint("amount', column + ', CheckConstraint("amount'))
    paths, told = models.generate("add")
    assert paths
    assert ("core.invoice.t is another one for each row: adding the column rewrites" in told) is is_told
    models.upgrade()
    assert models.generate("again")[0] == []


def test_a_check_goes_with_a_renamed_column(models: ModelProject):
    """A check of the same name over a new column is made anew: the old one is gone with the old column."""
    models.models(BEFORE.replace("amount", "amount_minor").replace("amount_minor_check", "amount_check"))
    paths, _ = models.generate("rename")
    assert paths
    models.upgrade()
    definition = (
        "select pg_get_constraintdef(oid), convalidated from pg_constraint where conname = 'amount_check'"
    )
    assert models.project.query(definition) == [("CHECK ((amount_minor >= 0))", True)]
    assert models.generate("again")[0] == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (
            ('"number", BigInteger, nullable=False', '"number", BigInteger, primary_key=True'),
            "PRIMARY KEY (id, number)",
        ),
        (('"id", BigInteger, primary_key=True', '"id", BigInteger, nullable=False'), "none"),
    ],
)
def test_primary_keys_that_change(models: ModelProject, change: tuple[str, str], key: str):
    """They are not written, and that is said; where they are the same nothing is."""
    assert "primary key" not in models.generate("nothing")[1]
    models.models(BEFORE.replace(*change))
    paths, told = models.generate("key")
    assert paths == []
    assert f"the primary key of core.invoice is PRIMARY KEY (id), in the metadata {key}" in told
