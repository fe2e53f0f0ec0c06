"""`upgrader demo`: the show on a server of one's own, and the database to go on with."""

from tests.acceptance.test_demo_data_is_kept import CITIES, POPULATION, figures
from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, has_history
from upgrader.demo.example import demo_commands


def test_demo_on_a_given_server(project: Project):
    """The run, a workspace that fails on purpose, the barrier, the repair, the resumption; nothing is lost."""
    result = project.run_cli("--database-url", project.database_url, "demo", timeout=300)
    assert_code(result, 0)
    told = result.stdout + result.stderr
    for words in ("244", "1.21.0", "1.22.0", "1.23.0", "failed", "stopped before"):
        assert words in told
    after = figures(project)
    assert sum(count for count, _ in after.values()) == CITIES
    assert sum(population for _, population in after.values()) == POPULATION
    failed = attempts(project, "failed")
    assert len(failed) == 1
    ((name, workspace, _, _),) = failed
    assert (name, workspace, 2, "completed") in attempts(project)


def test_prepare_makes_the_database_to_go_on_with(project: Project):
    """`--prepare` makes release 1.20.0 where the settings say; plan, upgrade and status go on from there."""
    project.configure(commands=[str(demo_commands())], app_version="1.23.0")
    assert_code(project.run_cli("demo", "--prepare", timeout=300), 0)
    assert not has_history(project)
    assert project.query("select count(*) from core.workspace") == [(244,)]
    assert_code(project.run_cli("plan"), 0)
    assert_code(project.run_cli("upgrade"), 4)
    assert_code(project.run_cli("upgrade", "--include-slow"), 0)
    assert_code(project.run_cli("status", "--exit-code"), 0)


def test_demo_with_three_workers_one_of_which_is_killed(project: Project):
    """The same show: the others do its part, and nothing is lost or done twice."""
    result = project.run_cli("--database-url", project.database_url, "demo", "--distributed", timeout=300)
    assert_code(result, 0)
    told = result.stdout + result.stderr
    for words in ("kill -9", "lost: ", "was lost", "takes part", "Nothing was lost"):
        assert words in told, told
    after = figures(project)
    assert sum(count for count, _ in after.values()) == CITIES
    assert sum(population for _, population in after.values()) == POPULATION
    completed = attempts(project, "completed")
    assert len(completed) == len({(step, workspace) for step, workspace, *_ in completed})
    assert len(attempts(project, "failed")) == 1
    left = "select from pg_stat_activity where application_name like 'upgrader%' and datname = current_database()"
    assert project.query(left) == []


def test_distributed_and_prepare_exclude_each_other(project: Project):
    """Refused."""
    assert_error(project.run_cli("demo", "--distributed", "--prepare"), 2, "--distributed")


def test_keep_and_prepare_exclude_each_other(project: Project):
    """Refused."""
    assert_error(project.run_cli("demo", "--keep", "--prepare"), 2, "--keep")
