"""A lock timeout, a deadlock or a serialization failure repeats one transaction of the same attempt."""

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.events import Event, StepRetried
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.testing import RecordingSink

QUICK = {"lock_timeout_seconds": 0.05, "lock_retry_initial_seconds": 0.01, "lock_retry_max_seconds": 0.05}


def test_lock_that_another_session_holds_for_a_moment(project: Project):
    """The step is tried again within its attempt, and succeeds once the lock is free."""
    project.fast("1.0.0", 1, "Alter", "alter table busy add column more int")
    with project.connect(autocommit=False) as holder:
        holder.execute("create table busy (id int)")
        holder.commit()
        holder.execute("lock table busy")
        seen: list[StepRetried] = []

        def release_after_two(event: Event) -> None:
            if isinstance(event, StepRetried):
                seen.append(event)
                if len(seen) == 2:
                    holder.commit()

        report = project.api(emit=release_after_two, lock_tries=50, **QUICK).upgrade(UpgradeOptions())

    assert report.outcome is Outcome.DONE
    assert attempts(project) == [("Alter", None, 1, "completed")]
    assert [event.tries for event in seen[:2]] == [1, 2]
    assert {event.reason for event in seen} == {"lock timeout"}


def test_tries_that_are_over_fail_the_step_with_the_lock_error(project: Project):
    """One failed attempt; nothing half done; the next run tries again."""
    project.create_workspaces("a", "b")
    project.workspace(
        "1.0.0",
        1,
        "Alter",
        "ctx.connection.execute(text('create table made ()'))\n"
        "if ctx.workspace.id == 'a':\n    ctx.connection.execute(text('alter table core.busy add column x int'))",
    )
    with project.connect(autocommit=False) as holder:
        holder.execute("create table core.busy (id int)")
        holder.commit()
        holder.execute("lock table core.busy")
        report = project.api(lock_tries=3, **QUICK).upgrade(UpgradeOptions())
        holder.rollback()

    (failure,) = report.failures
    assert (failure.scope.workspace_id, failure.tries) == ("a", 3)
    assert "55P03" in str(failure.error)
    assert attempts(project) == [("Alter", "a", 1, "failed"), ("Alter", "b", 1, "completed")]
    assert project.query("select to_regclass('ws_a.made')") == [(None,)]
    assert project.api().upgrade(UpgradeOptions()).completed == 1


def test_serialization_failure_is_repeated_with_a_fresh_command(project: Project):
    """What the class kept from the first try is gone; the sequence tells that it was tried three times."""
    project.fast(
        "1.0.0",
        1,
        "Unlucky",
        """
        assert not hasattr(self, "tried")
        self.tried = True
        number = connection.execute(text("select nextval('public.tries')")).scalar()
        if number < 3:
            connection.execute(text("do $$ begin raise exception 'try again' using errcode = '40001'; end $$"))
        """,
    )
    with project.connect() as connection:
        connection.execute("create sequence tries")
    sink = RecordingSink()
    report = project.api(emit=sink, **QUICK).upgrade(UpgradeOptions())
    assert report.outcome is Outcome.DONE
    assert [event.reason for event in sink.of(StepRetried)] == ["serialization failure"] * 2
    assert attempts(project) == [("Unlucky", None, 1, "completed")]


def test_other_errors_are_not_repeated(project: Project):
    """A unique violation fails at once."""
    project.fast("1.0.0", 1, "Fails", "create table t (id int unique); insert into t values (1), (1)")
    sink = RecordingSink()
    report = project.api(emit=sink).upgrade(UpgradeOptions())
    assert report.failures[0].tries == 1
    assert sink.of(StepRetried) == []
