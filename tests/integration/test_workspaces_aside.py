"""Workspaces that are set aside, in runs."""

import threading

import pytest

from tests.integration.history import make_lock
from tests.support.project import Project
from tests.support.results import attempts, has_history
from tests.support.server import wait_until
from upgrader.errors import OperatorError, RefusedError, UnknownWorkspaceError
from upgrader.events import Event, SegmentFinished, WorkspaceFinished
from upgrader.model import Outcome
from upgrader.runner.options import DowngradeOptions, UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import RefusalReason, Selection
from upgrader.version import ReleaseVersion


def upgrade(project: Project, **options: object) -> RunReport:
    return project.api().upgrade(UpgradeOptions(**options))  # type: ignore[arg-type]  # by name


def ran(project: Project, workspace: str | None) -> list[str]:
    return [name for name, where, *_ in attempts(project) if where == workspace]


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 │ w2  ║  1.1.0 f3 │ w4
    project.create_workspaces("a", "b", "c")
    project.fast("1.0.0", 1, "First")
    project.workspace("1.0.0", 2, "Work")
    project.fast("1.1.0", 3, "Second", down="pass")
    project.workspace("1.1.0", 4, "More", down="pass")
    return project


def test_before_the_first_upgrade(product: Project):
    """The history is made; the upgrade is the first one all the same, and enrols the workspace with the others."""
    done = product.api().quarantine(["b"], reason="not yet")
    assert [(one.workspace_id, str(one.misses)) for one in done.changed] == [("b", "1.0.0")]

    report = upgrade(product)

    assert report.is_first
    assert report.outcome is Outcome.DONE
    assert [one.workspace_id for one in report.quarantined] == ["b"]
    assert ran(product, "b") == []
    product.api().release(["b"])
    caught_up = upgrade(product)
    assert caught_up.outcome is Outcome.DONE
    assert list(caught_up.late) == ["b"]
    assert ran(product, "b") == ["Work", "More"]


def test_while_a_run_is_at_work(product: Project):
    """Set aside behind the first version: the run leaves it alone from the second on, and names it."""

    def emit(event: Event) -> None:
        if isinstance(event, SegmentFinished) and event.version.text == "1.0.0":
            product.api().quarantine(["b"], reason="now")

    report = product.api(emit=emit).upgrade(UpgradeOptions())

    assert report.outcome is Outcome.DONE
    assert ran(product, "b") == ["Work"]
    assert [(one.workspace_id, str(one.misses)) for one in report.quarantined] == [("b", "1.1.0")]


def test_released_while_a_run_is_at_work(product: Project):
    """It catches up before the run begins anything newer."""
    product.api().quarantine(["b"], reason="a while")

    def emit(event: Event) -> None:
        if isinstance(event, WorkspaceFinished) and (event.version.text, event.workspace.id) == (
            "1.0.0",
            "a",
        ):
            product.api().release(["b"])

    product.api(emit=emit).upgrade(UpgradeOptions())

    order = [(name, where) for name, where, *_ in attempts(product)]
    assert order.index(("Work", "b")) < order.index(("Second", None))
    assert ran(product, "b") == ["Work", "More"]


def test_a_release_waits_for_a_barrier(product: Project):
    """While one is being passed nobody comes back."""
    upgrade(product)
    product.api().quarantine(["b"], reason="a while")
    lock = make_lock(product.database_url)
    try:
        assert lock.try_barrier()
        thread = threading.Thread(target=lambda: product.api().release(["b"]), daemon=True)
        thread.start()
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        wait_until(lambda: product.query(waiting) == [(1,)])
        assert product.query("select count(*) from upgrader.quarantine where released_at is null") == [(1,)]
    finally:
        lock.close()
    thread.join(30)
    assert product.query("select count(*) from upgrader.quarantine where released_at is null") == [(0,)]


def test_a_kept_step_does_not_run_again_after_a_release(product: Project):
    """What it had done before it was set aside stays done; the failed step is tried again."""
    product.workspace("1.1.0", 4, "More", "select 1 / 0", down="pass")
    upgrade(product)
    product.api().quarantine(["b"], reason="a while")
    product.workspace("1.1.0", 4, "More", down="pass")
    upgrade(product)
    product.api().release(["b"])
    upgrade(product)
    assert [
        (name, attempt, status) for name, where, attempt, status in attempts(product) if where == "b"
    ] == [
        ("Work", 1, "completed"),
        ("More", 1, "failed"),
        ("More", 2, "completed"),
    ]


def test_refusals_change_nothing(product: Project):
    """An unknown id, an empty reason, an id that is not set aside: all or none."""
    upgrade(product)
    api = product.api()
    with pytest.raises(UnknownWorkspaceError, match="nope"):
        api.quarantine(["a", "nope"], reason="x")
    for reason in ("", "  ", "\n"):
        with pytest.raises(OperatorError, match="needs a reason"):
            api.quarantine(["a"], reason=reason)
    api.quarantine(["a"], reason="x")
    with pytest.raises(OperatorError, match="not quarantined: workspace b"):
        api.release(["a", "b"])
    assert set(product.api().workspaces().quarantined) == {"a"}


def test_one_that_the_code_has_left_behind(product: Project):
    """1.0.0 is pruned while it is aside: it stays aside, and the version that it needs is named."""
    product.workspace("1.0.0", 2, "Work", "if ctx.workspace.id == 'b': raise ValueError('broken')")
    upgrade(product)
    product.api().quarantine(["b"], reason="broken")
    upgrade(product)
    for file in (product.commands / "v1_0_0").iterdir():
        file.unlink() if file.is_file() else None
    with pytest.raises(RefusedError, match=r"cannot be released: not at 1\.0\.0 yet.*workspace b") as refused:
        product.api().release(["b"])
    assert "1.0.0 first" in (refused.value.hint or "")
    assert upgrade(product).outcome is Outcome.DONE
    assert set(product.api().workspaces().quarantined) == {"b"}


def test_workspace_run_leaves_it_alone(product: Project):
    """And refuses it by name."""
    product.api().baseline(ReleaseVersion.parse("0.9.0"))
    upgrade(product, to=ReleaseVersion.parse("1.0.0"), selection=Selection(count_limit=1))
    product.api().quarantine(["b"], reason="broken")
    refused = product.api().run_workspace_command("work", selection=Selection(("b",)))
    assert [one.reason for one in refused.refusals] == [RefusalReason.QUARANTINED_WORKSPACE]
    report = product.api().run_workspace_command("work")
    assert report.outcome is Outcome.DONE
    assert [one.workspace_id for one in report.quarantined] == ["b"]
    assert ran(product, "b") == []
    assert ran(product, "c") == ["Work"]


def test_a_downgrade_leaves_it_alone(product: Project):
    """And names it; what is taken back elsewhere stays in it."""
    upgrade(product)
    product.api().quarantine(["b"], reason="broken")
    report = product.api().downgrade(DowngradeOptions(to=ReleaseVersion.parse("1.0.0")))
    assert report.outcome is Outcome.DONE
    assert [one.workspace_id for one in report.quarantined] == ["b"]
    assert ran(product, "b") == ["Work", "More"]
    assert ran(product, "a") == ["Work", "More", "More"]


def test_a_baseline_leaves_it_out_unless_it_is_named(product: Project):
    """It may be in any shape."""
    product.api().quarantine(["b"], reason="odd")
    assert product.api().baseline(ReleaseVersion.parse("1.0.0")).workspaces == 2
    where = "select version from upgrader.history where workspace_id = 'b'"
    assert product.query(where) == []
    product.api().baseline(ReleaseVersion.parse("1.0.0"), workspace_ids=["b"])
    assert product.query(where) == [("1.0.0",)]


def test_it_costs_one_query_however_many(product: Project):
    """A survey with a thousand of them is read like one with none."""
    upgrade(product)
    with product.connect() as connection:
        connection.execute(
            "insert into core.workspace select 'x' || n, 'X', 'ACTIVE', 'ws_a' from generate_series(1, 1000) n"
        )
        connection.execute(
            "insert into upgrader.quarantine (workspace_id, reason, quarantined_by, executed_by_version)"
            " select 'x' || n, 'many', 'me', '1' from generate_series(1, 1000) n"
        )
    report = upgrade(product)
    assert report.outcome is Outcome.DONE
    assert len(report.quarantined) == 1000
    assert product.api().plan(UpgradeOptions()).plan.is_empty


def test_two_at_once_set_it_aside_once(product: Project):
    """The second one is told of the first one's reason."""
    upgrade(product)
    found: list[object] = []

    def set_aside(reason: str) -> None:
        found.extend(product.api().quarantine(["b"], reason=reason).changed)

    threads = [threading.Thread(target=set_aside, args=(f"reason {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 1
    assert product.query("select count(*) from upgrader.quarantine") == [(1,)]
    assert has_history(product)
