"""A run opens as many connections as it says, and is refused before it begins where they are not to be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.support.project import Project
from tests.support.server import wait_until
from upgrader.errors import NoConnectionError, PreflightError
from upgrader.events import Event, Notice, StepFinished
from upgrader.model import AttemptStatus, Jobs, Outcome, PreflightCheck
from upgrader.runner.options import UpgradeOptions
from upgrader.testing import RecordingSink

IDS = [f"w{number}" for number in range(8)]


def role_name(project: Project, connections: int) -> str:
    """Name the role of a test: all databases of a server share its roles."""
    return f"few_{connections}_{project.query('select current_database()')[0][0]}"[:60]


@contextmanager
def role_with(project: Project, connections: int) -> Iterator[str]:
    """Give the URL of a role of its own that may do everything here and has so many connections."""
    name = role_name(project, connections)
    role = Identifier(name)
    with project.connect() as connection:
        connection.execute(SQL("create role {} login connection limit {}").format(role, connections))
        connection.execute(
            SQL("grant all on database {} to {}").format(Identifier(connection.info.dbname), role)
        )
        for (schema,) in project.query(
            "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
        ):
            connection.execute(SQL("grant all on schema {} to {}").format(Identifier(schema), role))
        connection.execute(SQL("grant select on core.workspace to {}").format(role))
    try:
        yield project.database_url + ("&" if "://" in project.database_url else " ") + f"user={name}"
    finally:
        with project.connect() as connection:
            connection.execute(
                SQL("reassign owned by {0} to current_user; drop owned by {0}; drop role {0}").format(role)
            )


@pytest.mark.parametrize(
    ("limit", "jobs", "hint"), [(6, 5, "--jobs 4"), (3, 2, "--jobs 1"), (2, 1, "CONNECTION LIMIT")]
)
def test_too_few_for_the_role_are_refused_with_what_fits(project: Project, limit: int, jobs: int, hint: str):
    """Nothing has run, and the hint has the number to type."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", "create table made (n int)")
    with role_with(project, limit) as url:
        with pytest.raises(PreflightError) as caught:
            project.api(database_url=url).upgrade(UpgradeOptions(jobs=Jobs(jobs)))
        (finding,) = [one for one in caught.value.findings if one.name is PreflightCheck.CONNECTIONS]
        assert "for the role" in finding.message
        assert hint in finding.hint
        if jobs > 1:
            report = project.api(database_url=url).upgrade(UpgradeOptions(jobs=Jobs(jobs - 1)))
            assert report.outcome is Outcome.DONE


def test_limit_of_the_database(project: Project):
    """Other roles' sessions count, too; a superuser is not held by it, so the look is taken as somebody else."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1")
    with role_with(project, 100) as url, project.connect() as other:
        name = Identifier(other.info.dbname)
        other.execute(SQL("alter database {} connection limit 5").format(name))
        with pytest.raises(PreflightError, match="for the database"):
            project.api(database_url=url).upgrade(UpgradeOptions(jobs=Jobs(3)))
        assert project.api(database_url=url).upgrade(UpgradeOptions(jobs=Jobs(2))).outcome is Outcome.DONE


def test_a_connection_that_is_taken_in_the_middle_costs_a_lane_and_nothing_else(project: Project):
    """A failed step gives its connection up, and somebody else has it before it is opened again."""
    project.create_workspaces(*IDS)
    told = project.directory / "told"
    # The first one stays on its connection until the other lane has ended.
    project.workspace(
        "1.0.0",
        1,
        "Fails",
        f"import pathlib, time\nwhile ctx.index == 1 and not pathlib.Path({str(told)!r}).exists():\n"
        "    time.sleep(0.01)\nraise RuntimeError('no')",
    )
    with role_with(project, 4) as url, ExitStack() as taken:
        sink = RecordingSink()

        def take_one_after_the_first_failure(event: Event) -> None:
            sink(event)
            if isinstance(event, StepFinished) and len(sink.of(StepFinished)) == 1:
                taken.enter_context(connected_at_last(url))
            if isinstance(event, Notice):
                told.touch()

        report = project.api(emit=take_one_after_the_first_failure, database_url=url).upgrade(
            UpgradeOptions(jobs=Jobs(2))
        )
    assert report.outcome is Outcome.FAILED
    (notice,) = sink.of(Notice)
    assert notice.message.startswith("1 at a time from here on, one less than before: cannot connect to")
    assert report.warnings == [notice.message]
    assert [(failure.scope.workspace_id, failure.attempt) for failure in report.failures] == [
        (id_, 1) for id_ in IDS
    ]


def test_the_last_connection_that_is_taken_ends_the_run(project: Project):
    """Exit 1, and what is done is done: the next run goes on."""
    project.create_workspaces(*IDS)
    project.workspace(
        "1.0.0", 1, "Fails", "do $$ begin if session_user like 'few%' then raise 'no'; end if; end $$"
    )
    with role_with(project, 4) as url:

        def let_nobody_in(event: Event) -> None:
            # What others take would be a race: a lane may have it again before they come.
            if isinstance(event, StepFinished) and event.status is AttemptStatus.FAILED:
                with project.connect() as connection:
                    connection.execute(
                        SQL("alter role {} connection limit 1").format(Identifier(role_name(project, 4)))
                    )

        report = project.api(emit=let_nobody_in, database_url=url).upgrade(UpgradeOptions(jobs=Jobs(2)))
        assert report.outcome is Outcome.FAILED
        assert isinstance(report.error, NoConnectionError)
    assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE
    done = project.query(
        "select workspace_id from upgrader.history where not is_initial and status = 'completed'"
    )
    assert sorted(done) == [(id_,) for id_ in IDS]


def connected_at_last(url: str) -> psycopg.Connection:
    """Connect as soon as there is a place."""
    found: list[psycopg.Connection] = []

    def is_there() -> bool:
        with suppress(psycopg.OperationalError):
            found.append(psycopg.connect(url))
        return bool(found)

    wait_until(is_there)
    return found[0]
