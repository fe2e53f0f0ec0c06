"""`upgrader workspace list`, `enroll` and `run`."""

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, document, has_history
from upgrader.runner.options import UpgradeOptions
from upgrader.sequence.plan import Selection


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 │ w2 w3
    project.create_workspaces("a", "b", "c")
    project.create_workspaces("out", status="INACTIVE")
    project.fast("1.0.0", 1, "First")
    project.workspace("1.0.0", 2, "FillNotes", "create table if not exists notes ()")
    project.workspace("1.0.0", 3, "TheLast")
    return project


def upgrade(project: Project, **options: object) -> None:
    assert project.api().upgrade(UpgradeOptions(**options)).failures == []  # type: ignore[arg-type]  # by name


def test_list_writes_nothing(product: Project):
    """Each workspace with its status, also those out of scope, before there is a history."""
    result = product.run_cli("workspace", "list")
    assert_code(result, 0)
    for words in ("a", "A", "ACTIVE", "out", "INACTIVE"):
        assert words in result.stdout
    assert not has_history(product)


def test_list_as_json_after_an_upgrade(product: Project):
    """Where each was enrolled."""
    upgrade(product)
    found = document(product.run_cli("workspace", "list", "--json"))
    assert [one["id"] for one in found["workspaces"]] == ["a", "b", "c", "out"]


def test_enroll(product: Project):
    """`--at current` (the default), `start`, a version; several ids at once."""
    upgrade(product)
    product.create_workspaces("d", "e", "f")
    result = product.run_cli("workspace", "enroll", "d")
    assert_code(result, 0)
    assert "1 workspace enrolled at 1.0.0" in result.stdout
    assert_code(product.run_cli("workspace", "enroll", "e", "f", "--at", "start"), 0)
    upgrade(product)
    assert sorted(workspace or "" for _, workspace, *_ in attempts(product)[7:]) == ["e", "e", "f", "f"]
    assert_code(product.run_cli("workspace", "enroll", "d"), 0)
    assert_error(product.run_cli("workspace", "enroll", "d", "--at", "start"), 2, "enrolled at 1.0.0 already")


def test_enroll_of_what_cannot_be(product: Project):
    """An unknown id, no version, no id: exit 2, nothing enrolled."""
    upgrade(product)
    product.create_workspaces("new")
    for arguments, words in (
        (("nobody",), "nobody"),
        (("new", "--at", "sometime"), "sometime"),
        (("new", "--at", "1.0"), "1.0"),
        ((), "ID"),
    ):
        assert_error(product.run_cli("workspace", "enroll", *arguments), 2, words)
    assert product.query("select count(*) from upgrader.history where is_initial") == [(5,)]


def test_run_where_it_is_pending_and_everything_before_is_done(product: Project):
    """Attempts are recorded; what waits is named."""
    upgrade(product, selection=Selection(("a",)))
    before = len(attempts(product))
    result = product.run_cli("workspace", "run", "fill-notes", "-w", "b", "-w", "a")
    assert_code(result, 0)
    assert attempts(product)[before:] == [("FillNotes", "b", 1, "completed")]
    waits = product.run_cli("workspace", "run", "the-last")
    assert_code(waits, 0)
    assert attempts(product)[before + 1 :] == [("TheLast", "b", 1, "completed")]
    assert "c" in waits.stderr


def test_run_again_asks_for_confirmation(product: Project):
    """`--again` repeats completed ones after `--yes`; without a terminal it is refused."""
    upgrade(product)
    before = len(attempts(product))
    assert_error(product.run_cli("workspace", "run", "fill-notes", "--again"), 2, "--yes")
    assert len(attempts(product)) == before
    assert_code(
        product.run_cli("workspace", "run", "fill-notes", "--again", "--yes", "--count-limit", "2"), 0
    )
    assert attempts(product)[before:] == [
        ("FillNotes", "a", 2, "completed"),
        ("FillNotes", "b", 2, "completed"),
    ]
    assert "nothing to run" in product.run_cli("upgrade").stdout


def test_run_that_fails(product: Project):
    """Exit 1; the others go on; `--fail-fast` stops."""
    upgrade(product)
    product.workspace("1.0.0", 2, "FillNotes", "select 1/0")
    flags = ("workspace", "run", "fill-notes", "--again", "--yes")
    result = product.run_cli(*flags, "--fail-fast")
    assert_error(result, 1, "1 step failed")
    assert "division by zero" in result.stdout
    assert_code(product.run_cli(*flags, "--json"), 1)
    assert len(attempts(product, "failed")) >= 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nothing-of-that-name",), "fill-notes"), (("fill-notes", "-w", "nobody"), "nobody"), ((), "NAME")],
)
def test_run_of_what_is_not_there(product: Project, arguments: tuple[str, ...], words: str):
    """Exit 2 with what there is."""
    assert_error(product.run_cli("workspace", "run", *arguments), 2, words)


def test_run_of_a_dormant_command(product: Project):
    """Exit 2."""
    product.workspace("2.0.0", 9, "NotYet")
    product.configure(app_version="1.0.0")
    assert_error(product.run_cli("workspace", "run", "not-yet"), 2, "dormant")


def test_run_before_the_first_upgrade(product: Project):
    """Nothing before it is done: nothing runs, and that is said."""
    result = product.run_cli("workspace", "run", "fill-notes")
    assert_code(result, 0)
    assert attempts(product) == []
    assert "left out" in result.stderr


def test_help_of_the_group(product: Project):
    """`upgrader workspace` shows its verbs."""
    result = product.run_cli("workspace")
    assert_code(result, 0)
    assert "enroll" in result.stdout
