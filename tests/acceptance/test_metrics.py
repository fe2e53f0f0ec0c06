"""`upgrader status --format prometheus`, and what it counts."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.project import Project

Labels = tuple[tuple[str, str], ...]


def figures(project: Project) -> dict[tuple[str, Labels], float]:
    done = project.run_cli("status", "--format", "prometheus")
    assert done.returncode == 0, done.stderr
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
    }


def test_figures_of_an_upgrade_that_is_half_done(project: Project):
    """One workspace failed, one is through, a slow step is deferred: health, counts, and its age."""
    project.configure(app_version="1.0.0")
    project.create_workspaces("acme", "globex")
    project.fast("1.0.0", 1, "AddNote", "ALTER TABLE core.workspace ADD note text")
    project.slow("1.0.0", 2, "FillNote")
    project.workspace(
        "1.0.0", 3, "Divide", "SELECT 1 / (CASE WHEN current_schema ~ 'acme' THEN 0 ELSE 1 END)"
    )
    before = figures(project)
    assert before["upgrader_instance_health", (("health", "behind"),)] == 1
    assert before["upgrader_workspaces", (("health", "behind"),)] == 2
    assert not [name for name, _ in before if name == "upgrader_deferred_step_age_seconds"]
    assert project.run_cli("upgrade").returncode == 1
    after = figures(project)
    assert after["upgrader_instance_health", (("health", "slow-pending"),)] == 1
    assert after["upgrader_instance_health", (("health", "behind"),)] == 0
    assert after["upgrader_workspaces", (("health", "failed"),)] == 1
    assert after["upgrader_workspaces", (("health", "up-to-date"),)] == 1
    assert after["upgrader_deferred_steps", ()] == 1
    assert 0 < after["upgrader_deferred_step_age_seconds", (("step", "1.0.0_FillNote_2"),)] < 300
    assert project.run_cli("upgrade", "--include-slow").returncode == 1
    assert figures(project)["upgrader_deferred_steps", ()] == 0


def test_figures_of_a_backfill(project: Project):
    """A backfill that was stopped halfway: rows done, and how many there were."""
    project.configure(app_version="1.0.0", backfill={"batch_rows": 10, "batch_tries": 1})
    with project.connect() as connection:
        connection.execute("create schema core")
        connection.execute(
            "create table core.item as select n as id, null::int as total from generate_series(1, 40) n"
        )
        connection.execute("alter table core.item add primary key (id)")
        connection.execute("analyze core.item")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("core.item", update="UPDATE core.item SET total = 1 / (id - 25) WHERE {batch}")',
    )
    assert project.run_cli("upgrade", "--include-slow").returncode == 1
    found = figures(project)
    ((labels, done),) = [
        (labels, value) for (name, labels), value in found.items() if name.endswith("rows_done")
    ]
    assert dict(labels)["step"] == "1.0.0_Fill_1"
    assert done == 20
    assert found["upgrader_backfill_rows_estimated", labels] == 40
