"""`upgrader check` against the history of a live database."""

import time
from collections.abc import Callable

import pytest

from tests.support.findings import check, of_rule, reasons
from tests.support.project import Project
from tests.support.results import assert_error, has_history, snapshot
from tests.support.server import Role
from upgrader.runner.options import UpgradeOptions
from upgrader.version import ReleaseVersion

RULES = ("below-baseline", "checksum-changed", "completed-command-gone", "missing-step")


@pytest.fixture
def product(project: Project) -> Project:
    """Two workspaces, everything of 1.0.0 and 1.1.0 done."""
    project.create_workspaces("a", "b")
    project.configure(app_version="1.1.0")
    project.fast("1.0.0", 1, "First", "CREATE TABLE core.note (id int)")
    project.workspace("1.0.0", 2, "InEach", "CREATE TABLE note (id int)")
    project.fast("1.1.0", 3, "Second")
    project.api().upgrade(UpgradeOptions(include_slow=True))
    return project


def test_nothing_is_wrong(product: Project):
    """All of the rules ran, the database is named, and it is left as it was."""
    before = snapshot(product)
    found = check(product)
    assert set(RULES) <= set(found["ran"])
    assert found["findings"] == []
    assert found["database"]
    assert snapshot(product) == before


def test_database_without_history(project: Project):
    """Nothing was run, so nothing can be wrong; no history is made."""
    project.fast("1.0.0", 1, "First")
    assert set(RULES) <= set(check(project)["ran"])
    assert not has_history(project)


def test_checksum_changed(product: Project):
    """By which version it was run and when; comments and layout do not count; what is accepted does not either."""
    product.fast(
        "1.0.0", 1, "First", "# only a comment\nconnection.execute(text('CREATE TABLE core.note (id int)'))"
    )
    assert check(product)["good"]
    product.fast("1.0.0", 1, "First", "CREATE TABLE core.note (id bigint)")
    product.workspace("1.0.0", 2, "InEach", "CREATE TABLE note (id bigint)")
    instance, workspaces = of_rule(check(product, code=5), "checksum-changed")
    assert instance["step"] == "1.0.0_First_1"
    assert (instance["file"], instance["line"]) == ("commands/v1_0_0/1_first.py", 7)
    assert "by 1.1.0 on " + time.strftime("%Y-%m-%d", time.gmtime()) in instance["message"]
    assert "in 2 workspaces" in workspaces["message"]
    accepted = [
        word for one in (instance, workspaces) for word in one["remedy"].split('"') if word.startswith("v1:")
    ]
    assert len(accepted) == 2
    product.configure(check={"accepted_checksums": accepted})
    assert check(product)["good"]


def test_accepted_checksum_that_is_none(product: Project):
    """Too short a beginning would accept anything."""
    product.configure(check={"accepted_checksums": ["v1:0"]})
    assert_error(product.run_cli("check"), 2, "check.accepted_checksums", "twelve")


def test_command_that_failed_may_be_mended(project: Project):
    """Only a completed one is compared."""
    project.fast("1.0.0", 1, "First", "SELECT 1 / 0")
    project.api().upgrade(UpgradeOptions())
    project.fast("1.0.0", 1, "First", "SELECT 1")
    assert check(project)["good"]


def test_completed_command_gone(product: Project):
    """It has a name and no file any more."""
    (product.commands / "v1_1_0" / "3_second.py").unlink()
    product.fast("1.1.0", 4, "Third")
    (finding,) = of_rule(check(product, code=5), "completed-command-gone")
    assert (finding["step"], finding["file"]) == ("1.1.0_Second_3", None)


def test_pruned_commands_are_not_gone(product: Project):
    """A whole version, from the lowest up."""
    for path in (product.commands / "v1_0_0").iterdir():
        if path.is_file():
            path.unlink()
    assert check(product)["good"]


def test_missing_step(product: Project):
    """At its place, with the number of workspaces; `missing = "run"` leaves the rule out."""
    product.fast("1.0.0", 4, "Below")
    product.workspace("1.0.0", 1, "BelowInEach")
    found = {one["step"]: one for one in of_rule(check(product, code=5), "missing-step")}
    assert set(found) == {"1.0.0_Below_4", "1.0.0_BelowInEach_1"}
    assert found["1.0.0_Below_4"]["file"] == "commands/v1_0_0/4_below.py"
    assert "2 workspaces" in found["1.0.0_BelowInEach_1"]["message"]
    product.configure(missing="run")
    assert 'missing = "run"' in reasons(check(product))["missing-step"]


def test_added_to_a_release_that_is_out(product: Project):
    """The history tells it without released_at, even of a slow step, which is never missing."""
    product.slow("1.1.0", 9, "SlowAfterwards")
    product.slow("1.2.0", 10, "Later")
    product.configure(app_version="1.2.0")
    assert "released_version is not set" in reasons(check(product))["released-version-changed"]
    product.configure(released_version="1.1.0")
    (finding,) = of_rule(check(product, code=5), "released-version-changed")
    assert finding["step"] == "1.1.0_SlowAfterwards_9"
    assert "the instance had finished" in finding["message"]


def test_added_to_a_release_is_told_once(product: Project):
    """By the clock or by the history."""
    product.slow("1.1.0", 1767225601000, "SlowAfterwards")
    product.configure(released_version="1.1.0", released_at="2026-01-01T00:00:00Z")
    assert len(of_rule(check(product, code=5), "released-version-changed")) == 1


def test_pending_slow_step_of_a_release(project: Project):
    """It was there when the release came out: deferred, and nobody's fault."""
    project.configure(app_version="1.0.0", released_version="1.0.0")
    project.fast("1.0.0", 1, "Fast")
    project.slow("1.0.0", 2, "Slow")
    project.api().upgrade(UpgradeOptions())
    assert check(project)["good"]


def test_below_a_baseline(project: Project):
    """What was written after the baseline never runs there; what was there before it is rightly done."""
    project.create_workspaces("a", "b")
    project.configure(app_version="1.1.0")
    project.fast("1.0.0", 1, "Old")
    project.workspace("1.0.0", 2, "OldInEach")
    project.api().baseline(ReleaseVersion.parse("1.0.0"))
    assert check(project)["good"]
    later = int(time.time() * 1000) + 60_000
    project.fast("1.0.0", later, "New")
    project.workspace("1.0.0", later, "NewInEach")
    project.fast("1.1.0", later, "Above")
    found = {one["step"]: one for one in of_rule(check(project, code=5), "below-baseline")}
    assert set(found) == {f"1.0.0_New_{later}", f"1.0.0_NewInEach_{later}"}
    assert "never run in the instance" in found[f"1.0.0_New_{later}"]["message"]
    assert "never run in 2 workspaces" in found[f"1.0.0_NewInEach_{later}"]["message"]
    assert check(project, "--ignore", "below-baseline")["good"]


def test_below_the_enrolment_of_some(product: Project):
    """Only those count whose mark covers the version."""
    product.create_workspaces("c")
    product.api().enroll(["c"], at="1.1.0")
    product.workspace("1.1.0", int(time.time() * 1000) + 60_000, "NewInEach")
    (finding,) = of_rule(check(product, code=5), "below-baseline")
    assert "in 1 workspace:" in finding["message"]


def test_reading_role_is_enough(product: Project, make_role: Callable[..., Role]):
    """A role that reads the history and the workspaces, as a pipeline should have."""
    role = make_role()
    with product.connect() as connection:
        for grant in (
            "select on all tables in schema upgrader",
            "usage on schema core",
            "select on core.workspace",
        ):
            connection.execute(f"grant {grant} to {role.name}".encode())
    product.configure(database_url=role.url(product.database_url))
    assert set(RULES) <= set(check(product)["ran"])


def test_unreachable_database(project: Project):
    """A database that is named and does not answer is an error, not something to leave out; without it all is well."""
    project.configure(database_url="postgresql://nobody@127.0.0.1:1/nowhere", connect_timeout_seconds=2)
    project.fast("1.0.0", 1, "First")
    assert_error(project.run_cli("check"), 2, "127.0.0.1")
    assert "--no-database" in reasons(check(project, "--no-database"))["missing-step"]
    assert check(project, "--select", "collision")["good"]


def test_embedded_database_that_was_never_started(project: Project):
    """None is made only to find it empty."""
    project.configure(database_url="embedded:.upgrader/pgdata")
    project.fast("1.0.0", 1, "First")
    assert "never been started" in reasons(check(project))["missing-step"]
    assert not (project.directory / ".upgrader").exists()
