"""`upgrader history`: attempts, newest first, filtered."""

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, has_history

FAILS_IN_B = "if ctx.workspace.id == 'b':\n    ctx.connection.execute(text('select 1/0'))"


@pytest.fixture
def product(project: Project) -> Project:
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "First")
    project.workspace("1.0.0", 2, "MayFail", FAILS_IN_B)
    return project


def shown(project: Project, *flags: str) -> list[tuple[str, str | None, int, str]]:
    result = project.run_cli("history", *flags, "--json")
    assert_code(result, 0)
    return [
        (one["name"], one["workspace_id"], one["attempt"], one["status"])
        for one in document(result)["attempts"]
        if not one["is_initial"]
    ]


def test_without_a_history(product: Project):
    """Nothing to show, and nothing written."""
    result = product.run_cli("history")
    assert_code(result, 0)
    assert result.stdout == "no attempts\n"
    assert not has_history(product)


def test_newest_first_and_every_filter(product: Project):
    """By step (full name, class, timestamp), workspace, instance, status; limited."""
    product.run_cli("upgrade")
    product.run_cli("upgrade")
    everything = [
        ("1.0.0_MayFail_2", "b", 2, "failed"),
        ("1.0.0_MayFail_2", "b", 1, "failed"),
        ("1.0.0_MayFail_2", "a", 1, "completed"),
        ("1.0.0_First_1", None, 1, "completed"),
    ]
    assert shown(product) == everything
    assert shown(product, "--step", "MayFail") == everything[:3]
    assert shown(product, "--step", "1.0.0_First_1") == everything[3:]
    assert shown(product, "--step", "2") == everything[:3]
    assert shown(product, "-w", "a") == everything[2:3]
    assert shown(product, "--instance") == everything[3:]
    assert shown(product, "--status", "failed") == everything[:2]
    assert shown(product, "--limit", "1") == everything[:1]
    assert_error(product.run_cli("history", "--instance", "-w", "a"), 2, "exclude each other")
    assert_error(product.run_cli("history", "--status", "broken"), 2, "completed")


def test_text_shows_the_error(product: Project):
    """With the reason below its attempt."""
    product.run_cli("upgrade")
    result = product.run_cli("history", "--status", "failed")
    assert_code(result, 0)
    assert "1.0.0_MayFail_2" in result.stdout
    assert "division by zero" in result.stdout
