"""`workspace quarantine`, `release` and `forget`, skipped workspaces and `--max-failures`, as an operator sees them."""

import signal

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, document, is_executing
from tests.support.server import wait_until

NARROW = {"COLUMNS": "60"}
REASON = "row 17 is broken, Anna looks at it"
SKIP = "from upgrader import SkipWorkspace\nraise SkipWorkspace('an import is running')"


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 │ w2(fails in b)  ║  1.1.0 f3 │ w4
    project.create_workspaces("a", "b", "c")
    project.fast("1.0.0", 1, "First")
    project.workspace("1.0.0", 2, "Work", "if ctx.workspace.id == 'b': raise ValueError('broken')")
    project.fast("1.1.0", 3, "Second")
    project.workspace("1.1.0", 4, "More")
    return project


def quarantine(project: Project, *ids: str) -> None:
    assert_code(project.run_cli("workspace", "quarantine", *ids, "--reason", REASON), 0)


def test_from_the_failure_to_the_way_back(product: Project):
    """The barrier opens, every report names the workspace, and it catches up first."""
    assert_code(product.run_cli("upgrade"), 1)
    aside = product.run_cli("workspace", "quarantine", "b", "--reason", f"  {REASON}\n")
    assert_code(aside, 0)
    assert aside.stdout == "b is quarantined; the first version that it misses is 1.0.0\n"
    assert "workspace release b" in aside.stderr
    for verb in (["plan"], ["upgrade"], ["upgrade"], ["upgrade", "--dry-run"], ["status"]):
        told = product.run_cli(*verb)
        assert_code(told, 0)
        assert "1 workspace quarantined, left alone:\n  b: for " in told.stdout, verb
        assert f"misses 1.0.0: {REASON}" in told.stdout
    assert_code(product.run_cli("status", "--exit-code"), 0)
    assert_code(product.run_cli("status", "--exit-code", "-w", "b"), 5)
    listed = product.run_cli("workspace", "list", env=NARROW)
    assert "b: quarantined for" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 60

    product.workspace("1.0.0", 2, "Work")
    back = product.run_cli("workspace", "release", "b")
    assert_code(back, 0)
    assert back.stdout == "b is released; it catches up from 1.0.0\n"
    caught_up = product.run_cli("upgrade")
    assert_code(caught_up, 0)
    assert "late, taken through older versions: b" in caught_up.stdout
    assert_code(product.run_cli("status", "--exit-code", "-w", "b"), 0)


def test_every_document_names_it(product: Project):
    """With reason, author, age and what it misses; the verbs give the same fields."""
    made = document(product.run_cli("workspace", "quarantine", "b", "c", "--reason", REASON, "--json"))
    assert [one["workspace_id"] for one in made["changed"]] == ["b", "c"]
    again = document(product.run_cli("workspace", "quarantine", "b", "--reason", "other", "--json"))
    assert (again["changed"], [one["reason"] for one in again["unchanged"]]) == ([], [REASON])
    for verb in ("plan", "upgrade", "status"):
        first = document(product.run_cli(verb, "--json"))["quarantined"][0]
        assert (first["workspace_id"], first["reason"], first["misses"]) == ("b", REASON, "1.0.0")
        assert first["app_version"] == "1.1.0"
        assert first["age_seconds"] >= 0
        assert "pid" in first["by"]
    status = document(product.run_cli("status", "--json"))
    assert status["summary"]["quarantined"] == 2
    assert status["good"] is True
    assert [row["health"] for row in status["workspaces"]] == ["up-to-date", "quarantined", "quarantined"]
    listed = document(product.run_cli("workspace", "list", "--json"))
    assert [row["quarantine"] and row["quarantine"]["reason"] for row in listed["workspaces"]] == [
        None,
        REASON,
        REASON,
    ]
    assert document(product.run_cli("workspace", "release", "b", "--json"))["changed"][0]["misses"] == "1.0.0"


def test_refusals(product: Project):
    """Each with exit 2, what is wrong and what to type; nothing is changed."""
    quarantine(product, "b")
    for arguments, words in (
        (["workspace", "quarantine", "nope", "--reason", "x"], "nope"),
        (["workspace", "quarantine", "a"], "--reason"),
        (["workspace", "quarantine", "a", "--reason", " "], "needs a reason"),
        (["workspace", "quarantine", "--reason", "x"], "ID"),
        (["workspace", "release", "a"], "not quarantined: workspace a"),
        (["workspace", "release"], "ID"),
        (["workspace", "forget"], "ID"),
        (["upgrade", "-w", "b"], f"workspace b is quarantined: {REASON}"),
        (["upgrade", "-w", "a", "-w", "b"], "workspace release b"),
        (["plan", "--start-from", "b"], "workspace b is quarantined"),
        (["workspace", "run", "work", "-w", "b"], "workspace b is quarantined"),
        (["upgrade", "--max-failures", "0"], "--max-failures"),
        (["upgrade", "--max-failures", "many"], "--max-failures 5%"),
        (["upgrade", "--max-failures", "3", "--fail-fast"], "contradict"),
    ):
        assert_error(product.run_cli(*arguments), 2, words)
    found = document(product.run_cli("upgrade", "-w", "b", "--json"))
    assert [one["reason"] for one in found["refusals"]] == ["quarantined-workspace"]
    assert product.query("select workspace_id from upgrader.quarantine") == [("b",)]


def test_all_of_them(product: Project):
    """Said, and no error: the instance goes on."""
    quarantine(product, "a", "b", "c")
    told = product.run_cli("upgrade")
    assert_code(told, 0)
    assert "warning: all workspaces in scope are quarantined (3 workspaces)" in told.stderr
    assert [where for _, where, *_ in attempts(product)] == [None, None]


def test_a_workspace_that_is_skipped(product: Project):
    """Exit 1, told apart from failures, in 60 columns and in the JSON; the next run tries it again."""
    product.workspace("1.0.0", 2, "Work", f"if ctx.workspace.id == 'b':\n{_indented(SKIP)}")
    told = product.run_cli("upgrade", env=NARROW)
    assert_code(told, 1)
    assert "skipped: b (B): an import is running" in told.stderr
    assert "2 workspaces done, 1 skipped in" in told.stderr
    assert "error: 1 workspace skipped; stopped before 1.1.0" in told.stderr
    assert "1 workspace skipped, to be tried again:" in told.stdout
    found = document(product.run_cli("upgrade", "--json"))
    assert (found["outcome"], found["exit_code"], found["failures"]) == ("failed", 1, [])
    (skipped,) = found["skipped"]
    assert (skipped["workspace_id"], skipped["attempt"], skipped["error"]) == ("b", 2, "an import is running")
    assert [one["skipped"] for one in (*found["steps"], *found["segments"])] == [1, 1]
    row = document(product.run_cli("status", "--failed-only", "--json"))["workspaces"][0]
    assert (row["id"], row["health"], row["failed_step"]["status"]) == ("b", "skipped", "skipped")
    assert_code(product.run_cli("status", "--exit-code"), 5)
    history = product.run_cli("history", "--status", "skipped", env=NARROW)
    assert history.stdout.count("an import is running") == 2
    product.workspace("1.0.0", 2, "Work")
    assert_code(product.run_cli("upgrade"), 0)


@pytest.mark.parametrize(
    ("limit", "failed"), [("1", 1), ("3", 3), ("20%", 3), ("0%", 1), ("100%", 10), (None, 10)]
)
def test_max_failures(project: Project, limit: str | None, failed: int):
    """Ten workspaces, all of which fail: the run says why it stopped, and how many are left."""
    project.create_workspaces(*(f"w{number}" for number in range(10)))
    project.workspace("1.0.0", 1, "Fails", "select 1 / 0")
    flags = ["--max-failures", limit] if limit else []
    for more in ([], ["--dry-run"]):
        told = project.run_cli("upgrade", *more, *flags)
        assert_code(told, 1)
        is_early = failed < 10
        assert (
            f"stopped in 1.0.0 (max-failures {limit}): {10 - failed} workspaces left" in told.stderr
        ) is is_early
        assert f"{failed} steps failed" in told.stderr or f"{failed} step failed" in told.stderr
    found = document(project.run_cli("upgrade", "--json", *flags))
    assert len(found["failures"]) == failed
    early = {"version": "1.0.0", "max_failures": limit, "failed": failed, "left_workspaces": 10 - failed}
    assert found["too_many_failures"] == (early if is_early else None)


def test_max_failures_in_the_settings(project: Project):
    """A number or a text; the flag wins; what means nothing is told with the key."""
    project.create_workspaces("a", "b", "c", "d")
    project.workspace("1.0.0", 1, "Fails", "select 1 / 0")
    project.configure(max_failures=2)
    assert len(document(project.run_cli("upgrade", "--json"))["failures"]) == 2
    assert len(document(project.run_cli("workspace", "run", "fails", "--json"))["failures"]) == 2
    assert len(document(project.run_cli("upgrade", "--json", "--max-failures", "25%"))["failures"]) == 2
    assert len(document(project.run_cli("upgrade", "--json", "--fail-fast"))["failures"]) == 1
    project.configure(max_failures="100%")
    assert len(document(project.run_cli("upgrade", "--json"))["failures"]) == 4
    for wrong in (0, "five", True, -1):
        project.configure(max_failures=wrong)
        assert_error(project.run_cli("upgrade"), 2, "max_failures")


def test_forget(product: Project):
    """Refused while the row is there; the old life is marked in the history, the new one begins without it."""
    product.workspace("1.0.0", 2, "Work")
    assert_code(product.run_cli("upgrade"), 0)
    quarantine(product, "b")
    assert_error(product.run_cli("workspace", "forget", "b"), 2, "still in the table core.workspace: b")
    with product.connect() as connection:
        connection.execute("delete from core.workspace where id = 'b'")
    assert "b is quarantined and no longer there" in product.run_cli("workspace", "list").stdout
    done = product.run_cli("workspace", "forget", "b")
    assert_code(done, 0)
    assert done.stdout == "the history of 1 workspace is ended\n"
    assert_error(product.run_cli("workspace", "forget", "b", "--json"), 2, "no history to forget")
    told = product.run_cli("history", "-w", "b", env=NARROW)
    assert told.stdout.count("forgotten") == 3
    rows = document(product.run_cli("history", "-w", "b", "--json"))["attempts"]
    assert all(row["forgotten_at"] for row in rows)
    with product.connect() as connection:
        connection.execute("insert into core.workspace values ('b', 'B', 'ACTIVE', 'ws_b')")
    assert_error(product.run_cli("upgrade"), 2, "1 workspace is not enrolled: b")
    assert_code(product.run_cli("baseline", "1.0.0", "-w", "b"), 0)
    assert_code(product.run_cli("upgrade"), 0)
    assert attempts(product)[-1] == ("More", "b", 1, "completed")


def test_a_killed_run_goes_on_with_them(product: Project):
    """One set aside, one skipped, one at work when the run is killed: the next run takes up what is left."""
    body = (
        "if ctx.workspace.id == 'b':\n" + _indented(SKIP) + "\n"
        "if ctx.workspace.id == 'c':\n"
        "    ctx.connection.execute(text(\"select pg_sleep(300) where to_regclass('core.gate') is null\"))\n"
    )
    product.workspace("1.0.0", 2, "Work", body)
    quarantine(product, "a")
    process = product.start_cli("upgrade")
    wait_until(lambda: is_executing(product, "pg_sleep(300)"))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    with product.connect() as connection:
        connection.execute("create table core.gate ()")
    assert_code(product.run_cli("upgrade", "--wait-lock", "60"), 1)
    assert attempts(product) == [
        ("First", None, 1, "completed"),
        ("Work", "b", 1, "skipped"),
        ("Work", "b", 2, "skipped"),
        ("Work", "c", 1, "completed"),
    ]
    product.workspace("1.0.0", 2, "Work")
    assert_code(product.run_cli("workspace", "release", "a"), 0)
    assert_code(product.run_cli("upgrade"), 0)
    assert [where for _, where, *_ in attempts(product)[4:]] == ["a", "b", None, "a", "b", "c"]


def test_a_role_that_may_only_read(product: Project, make_role):
    """It is told what it lacks, and nothing is changed."""
    assert_code(product.run_cli("upgrade"), 1)
    role = make_role()
    with product.connect() as connection:
        connection.execute(f'grant usage on schema core to "{role.name}"'.encode())
        connection.execute(f'grant select on core.workspace to "{role.name}"'.encode())
        connection.execute(f'grant select on all tables in schema upgrader to "{role.name}"'.encode())
    product.configure(database_url=role.url(product.database_url))
    assert_code(product.run_cli("status"), 0)
    told = product.run_cli("workspace", "quarantine", "b", "--reason", "x")
    assert_error(told, 2, "may not write the history")


def _indented(body: str) -> str:
    return "\n".join(f"    {line}" for line in body.splitlines())
