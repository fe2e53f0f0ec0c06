"""Commands that take a database with rows from one set of models to another, and back."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from tests.scenarios.autogenerate import evolution
from tests.support.models import ModelProject, assert_clean, create_all, dump, metadata_of, run_down
from tests.support.project import Project
from tests.support.results import assert_code
from tests.support.server import PostgresServer


@pytest.fixture
def models(project: Project) -> ModelProject:
    """A project with the models from before on a database that has them, with rows."""
    made = ModelProject(project)
    made.models(evolution.BEFORE)
    create_all(project.database_url, metadata_of(evolution.BEFORE), "core")
    with project.connect() as connection:
        connection.execute(evolution.ROWS.encode())
    assert made.generate("nothing")[0] == []
    made.models(evolution.AFTER)
    return made


def fill(path: Path) -> None:
    """Do what the author has to: fill the required columns."""
    text = path.read_text(encoding="utf-8")
    assert "TODO" in text
    statement = "UPDATE core.customer SET currency = 'EUR' WHERE currency IS NULL"
    body = f'        with ctx.transaction() as connection:\n            connection.execute(text("{statement}"))\n'
    head = "    def run_data_migration(self, ctx: DataMigrationContext) -> None:\n"
    assert head in text
    path.write_text(text.replace(head, head + body), encoding="utf-8")


def test_from_one_set_of_models_to_another(models: ModelProject, server: PostgresServer):
    """The rows survive, a second comparison finds nothing, and the database is that of `create_all`."""
    paths, told = models.generate("evolve")
    assert paths
    fill(paths[-1])
    models.upgrade()
    (count, city, score) = models.project.query(
        "select count(*), min(city), sum(score) from core.customer where currency = 'EUR' and kind = 'a'"
    )[0]
    assert (count, city, score) == (100, "it's :x 100%", 5050)
    assert models.generate("again")[0] == []
    with server.database() as other:
        create_all(other, metadata_of(evolution.AFTER), "core", "billing")
        assert sorted(dump(models.project.database_url)) == sorted(dump(other))
    for loss in (
        'core."old" is not in the metadata',
        "core.older is not in the metadata",
        "core.customer.note is not",
    ):
        assert f"warning: {loss}" in told
    for danger in ("core.customer.score becomes INTEGER", "core.customer.gross is generated from net"):
        assert danger in told


def test_the_way_back_says_what_is_lost_and_brings_the_shape(models: ModelProject):
    """`down` raises for what was dropped; without that line it gives the old shape again."""
    before = dump(models.project.database_url)
    paths, _ = models.generate("evolve")
    fill(paths[-1])
    models.upgrade()
    from upgrader import IrreversibleError

    (main,) = (path for path in paths if path.name.endswith("_evolve.py"))
    with pytest.raises(IrreversibleError, match=r'rows of core\."old" are gone'):
        run_down(models.project, [main])
    text = main.read_text(encoding="utf-8")
    cut = re.sub(
        r"        # Take this out.*\n        raise IrreversibleError\((?:.|\n)*?\)\n(?=        connection)",
        "",
        text,
    )
    assert cut != text
    main.write_text(cut, encoding="utf-8")
    labels = next(path for path in paths if "enum_values" in path.name)
    run_down(models.project, [path for path in paths if path != labels])
    after = dump(models.project.database_url)
    # Values of an enum stay; columns that were made again are last.
    changed = {"'draft',", "'it''s :late'", "'paid',"}
    assert {line.strip() for line in after} - {line.strip() for line in before} <= changed | _last(
        before, after
    )


def _last(before: list[str], after: list[str]) -> set[str]:
    """Give the lines that differ from one of the others by their comma alone."""
    known = {line.strip().rstrip(",") for line in before}
    return {line.strip() for line in after if line.strip().rstrip(",") in known}


def test_rows_without_a_value_stop_the_required_column(models: ModelProject):
    """An author who fills in nothing is told, and nothing is pretended; a failed one may be tried again."""
    paths, _ = models.generate("evolve")
    result = models.project.run_cli("upgrade", "--include-slow", env=models.environment)
    assert_code(result, 1)
    assert "core.customer.currency is NULL in 100 rows" in result.stdout
    fill(paths[-1])
    models.upgrade()


def test_no_scan_and_no_write_lock_while_a_column_becomes_required(models: ModelProject):
    """A column becomes NOT NULL by the helper; foreign keys and checks are added NOT VALID and checked later."""
    paths, _ = models.generate("evolve")
    assert_clean(paths)
    texts = {path.name.split("_", 1)[1]: path.read_text(encoding="utf-8") for path in paths}
    assert 'currency CHAR(3)"' in texts["evolve.py"]
    assert "NOT NULL" not in texts["evolve.py"].split("def down")[0].replace(
        "DEFAULT 'it''s \\\\:x 100%' NOT NULL", ""
    ).replace("BIGSERIAL NOT NULL", "").replace("DROP NOT NULL", "")
    # The foreign key comes when what it may refer to is unique.
    assert [texts[f"{name}.py"].count("NOT VALID") for name in ("evolve", "evolve_constraints")] == [3, 1]
    assert texts["evolve_validate.py"].count("VALIDATE CONSTRAINT") == 4
    slow = texts["evolve_not_null.py"]
    assert 'set_not_null(connection, "core.customer", "currency")' in slow
    assert "ALTER COLUMN currency SET NOT NULL" not in slow
    for name, text in texts.items():
        assert ("transactional=False" in text) == ("index_concurrently" in text), name
    stamps = [int(path.name.split("_")[0]) for path in paths]
    assert stamps == sorted(set(stamps))


def test_existing_rows_that_break_a_new_check_are_found_when_it_is_validated(models: ModelProject):
    """The fast command goes through at once; the one that validates fails and says which constraint."""
    with models.project.connect() as connection:
        connection.execute("alter table core.customer drop constraint customer_net_check")
        connection.execute("update core.customer set net = 0 where id = 1")
    paths, _ = models.generate("evolve")
    fill(paths[-1])
    result = models.project.run_cli("upgrade", "--include-slow", env=models.environment)
    assert_code(result, 1)
    assert "customer_net_check" in result.stdout
    with psycopg.connect(models.project.database_url) as connection:
        row = connection.execute(
            "select convalidated from pg_constraint where conname = 'customer_net_check'"
        ).fetchone()
    assert row == (False,)
