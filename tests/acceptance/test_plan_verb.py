"""`upgrader plan` and `list`: what would run, and what there is; nothing is written."""

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, snapshot
from upgrader.runner.options import UpgradeOptions


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 s2 │ w3  ║  1.1.0 f4 │ w5      dormant: 9.0.0
    project.create_workspaces("a", "b")
    project.configure(app_version="1.1.0")
    project.fast("1.0.0", 1, "Fast", "print('never')")
    project.slow("1.0.0", 2, "Slow")
    project.workspace("1.0.0", 3, "InWorkspace", after_slow=True)
    project.fast("1.1.0", 4, "Later")
    project.workspace("1.1.0", 5, "LaterToo")
    project.fast("9.0.0", 6, "NotYet")
    return project


def test_plan_says_where_it_would_stop(product: Project):
    """And leaves the database as it was."""
    before = snapshot(product)
    result = product.run_cli("plan")
    assert_code(result, 0)
    for words in ("first upgrade", "baseline", "Fast", "Slow", "deferred", "stopped before 1.1.0"):
        assert words in result.stdout
    assert "NotYet" not in result.stdout
    assert snapshot(product) == before


@pytest.mark.parametrize(
    ("flags", "steps", "versions"),
    [
        ((), 1, ["1.0.0"]),
        (("--include-slow",), 7, ["1.0.0", "1.1.0"]),
        (("--defer-slow",), 4, ["1.0.0", "1.1.0"]),
        (("--include-slow", "--to", "1.0.0"), 4, ["1.0.0"]),
        (("--include-slow", "-w", "b"), 3, ["1.0.0"]),
        (("--include-slow", "--start-from", "b"), 3, ["1.0.0"]),
        (("--include-slow", "--count-limit", "1"), 3, ["1.0.0"]),
    ],
)
def test_plan_takes_the_flags_of_upgrade(
    product: Project, flags: tuple[str, ...], steps: int, versions: list[str]
):
    """The same ones; upgrade does what was planned."""
    planned = document(product.run_cli("plan", *flags, "--json"))
    assert planned["steps_to_run"] == steps
    assert [one["version"] for one in planned["versions"]] == versions
    if flags == ("--defer-slow",):
        assert document(product.run_cli("upgrade", *flags, "--json"))["completed"] == steps


def test_plan_that_is_refused(product: Project):
    """Exit 2 with the reasons."""
    assert_error(product.run_cli("plan", "-w", "nobody"), 2, "nobody")
    product.api().upgrade(UpgradeOptions(include_slow=True))
    product.fast("1.0.0", 9, "Below")
    assert_error(product.run_cli("plan"), 2, "1.0.0_Below_9", "--include-missing")
    allowed = document(product.run_cli("plan", "--include-missing", "--json"))
    assert allowed["steps_to_run"] == 1


def test_plan_when_ahead(product: Project):
    """`--allow-ahead`."""
    product.api().upgrade(UpgradeOptions(include_slow=True))
    product.slow("1.0.0", 9, "AnotherSlow")
    flags = ("--app-version", "1.0.0", "plan", "--include-slow")
    assert_error(product.run_cli(*flags), 2, "--allow-ahead")
    assert_code(product.run_cli(*flags, "--allow-ahead"), 0)


def test_list_marks_what_is_dormant(product: Project):
    """Every command by version and kind, without a database."""
    product.configure(database_url=None)
    result = product.run_cli("list")
    assert_code(result, 0)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["1.0.0", "1.1.0", "9.0.0"]
    assert "dormant" in next(line for line in lines if "NotYet" in line)
    assert "dormant" not in next(line for line in lines if "Fast" in line)
    found = document(product.run_cli("list", "--json"))["commands"]
    assert [command["class_name"] for command in found if command["dormant"]] == ["NotYet"]
    assert {command["kind"] for command in found} == {"fast-instance", "slow-instance", "workspace"}
