"""Commands written from models with everything of PostgreSQL give what `create_all` gives."""

from __future__ import annotations

import shutil

import pytest

from tests.scenarios.autogenerate import everything
from tests.support.models import ModelProject, assert_clean, create_all, dump, run_down
from tests.support.project import Project
from tests.support.server import PostgresServer


@pytest.fixture
def models(project: Project) -> ModelProject:
    """A project with the models of the scenario."""
    made = ModelProject(project)
    shutil.copy(everything.__file__, project.directory / "models.py")
    return made


def test_commands_make_what_create_all_makes(models: ModelProject, server: PostgresServer):
    """The dumps are equal line by line; a second comparison finds nothing; `down` leaves nothing behind."""
    empty = dump(models.project.database_url)
    paths, _ = models.generate("everything")
    assert paths
    models.upgrade()
    with server.database() as other:
        create_all(other, everything.metadata, "core", "other")
        assert dump(models.project.database_url) == dump(other)

    again, told = models.generate("again")
    assert again == []
    assert "no difference" in told

    run_down(models.project, paths)
    assert dump(models.project.database_url) == empty


def test_the_file_is_as_a_formatter_leaves_it(models: ModelProject):
    """`ruff format` with its defaults changes nothing, and the linter has nothing to say."""
    paths, _ = models.generate("everything")
    assert_clean(paths)
