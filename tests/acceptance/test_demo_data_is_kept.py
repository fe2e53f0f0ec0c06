"""The demo's database, upgraded by the program, keeps every city."""

from tests.support.project import Project
from tests.support.results import assert_code, document
from upgrader.demo.example import demo_commands

CITIES, POPULATION, WORKSPACES = 34_006, 3_932_182_704, 244


def figures(project: Project) -> dict[str, tuple[int, int]]:
    """Give cities and population of each workspace."""
    schemas = project.query("select database_schema from core.workspace order by 1")
    found = {}
    for (schema,) in schemas:
        ((count, population),) = project.query(
            f'select count(*), coalesce(sum(population), 0)::bigint from "{schema}".city'
        )
        found[schema] = (int(count), int(population))
    return found


def test_upgrade_of_real_workspaces_loses_nothing(demo_project: Project):
    """Per workspace and in total: what the files say, before and after three versions."""
    demo_project.configure(commands=[str(demo_commands())], app_version="1.23.0")
    before = figures(demo_project)
    assert len(before) == WORKSPACES

    result = demo_project.run_cli("upgrade", "--include-slow", "--json")

    assert_code(result, 0)
    assert document(result)["failures"] == []
    after = figures(demo_project)
    in_scope = {
        schema
        for (schema,) in demo_project.query(
            "select database_schema from core.workspace where activation_status in ('ACTIVE', 'SUSPENDED')"
        )
    }
    assert after == before
    assert len(in_scope) < WORKSPACES
    assert sum(count for count, _ in after.values()) == CITIES
    assert sum(population for _, population in after.values()) == POPULATION
    assert_code(demo_project.run_cli("status", "--exit-code", "--include-slow"), 0)
    assert "nothing to run" in demo_project.run_cli("upgrade", "--include-slow").stdout
