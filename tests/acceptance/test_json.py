"""`--json`: one document with `schema_version` on stdout, everything else on stderr."""

import json

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, document


@pytest.fixture
def product(project: Project) -> Project:
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "Fast", "print('noise')")
    project.slow("1.0.0", 2, "Slow")
    project.workspace("1.0.0", 3, "Note", "print('noise')")
    project.fast("1.1.0", 4, "Later")
    return project


def test_upgrade(product: Project):
    """What ran, what was deferred, what holds the barrier."""
    result = product.run_cli("upgrade", "--json")
    assert_code(result, 4)
    found = document(result)
    assert found["outcome"] == "stopped-at-barrier"
    assert found["first_upgrade"] is True
    assert [step["name"] for step in found["deferred"]] == ["1.0.0_Slow_2"]
    assert found["stop"]["reason"] == "slow-deferred"
    assert found["stop"]["before"] == "1.1.0"
    assert found["completed"] == 3
    assert found["segments"] == [
        {"version": "1.0.0", "total": 2, "done": 2, "failed": 0, "skipped": 0, "left_out": 0}
    ]


def test_dry_run(product: Project):
    """With what was simulated, and what was locked."""
    found = document(product.run_cli("upgrade", "--dry-run", "--include-slow", "--json"))
    assert found["dry_run"] is True
    assert found["outcome"] == "done"
    assert (found["simulated_to"], found["not_simulated"], found["table_locks"]) == (None, [], [])


@pytest.mark.parametrize(
    "verb",
    [["plan"], ["status"], ["history"], ["list"], ["workspace", "list"], ["workspace", "run", "note"]],
    ids=" ".join,
)
def test_every_verb_that_tells_something(product: Project, verb: list[str]):
    """Parses, and is all of stdout."""
    result = product.run_cli(*verb, "--json")
    assert_code(result, 0)
    document(result)
    assert "noise" not in result.stdout


def test_status_of_an_upgraded_database(product: Project):
    """Health of instance and workspaces."""
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    found = document(product.run_cli("status", "--json"))
    assert found["instance"]["health"] == "up-to-date"
    assert "hunter" not in json.dumps(found)


def test_wrong_flag_is_a_document_too(product: Project):
    """Also what the parser refuses."""
    result = product.run_cli("upgrade", "--json", "--no-such-flag")
    assert_code(result, 2)
    assert document(result)["error"]["message"]


def test_what_a_child_process_of_a_command_prints_is_no_data(project: Project):
    """It inherits stdout; the document has that for itself."""
    project.fast("1.0.0", 1, "Prints", "import subprocess\nsubprocess.run(['echo', 'noise'], check=True)")
    result = project.run_cli("upgrade", "--json")
    assert_code(result, 0)
    assert document(result)["completed"] == 1
    assert "noise" in result.stderr
