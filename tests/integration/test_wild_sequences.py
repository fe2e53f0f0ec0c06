"""Verbs in the order in which a tired operator types them: the shape is always what the history says.

A seeded walk: upgrades and downgrades with filters, failures, skips, quarantine, workspaces that are made,
deleted, forgotten and made again under the same id, baselines of single workspaces. Each command makes a table
and fails where it is there already, so that a step that runs twice, or is lost, is seen in the shape.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from tests.support.project import Project
from tests.support.scopes import assert_scopes_are_as_rebuilt
from upgrader.errors import OperatorError
from upgrader.events import Event, StepStarted
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import Enrolment, FailureLimit, Outcome, Progress, Step
from upgrader.runner.options import DowngradeOptions, UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import Selection
from upgrader.status.explanation import Subject
from upgrader.version import ReleaseVersion

_VERSIONS = ("1.1.0", "1.2.0", "1.3.0")
_ROUNDS = 40
_BEFORE = ReleaseVersion.parse("1.0.0")
_FAULT = """
from upgrader import SkipWorkspace
found = connection.execute(text("select kind from core.fault where step = '{name}' and {scope} limit 1")).scalar()
if found == 'skip' and {may_skip}:
    raise SkipWorkspace('put off')
if found is not None:
    connection.execute(text('select 1 / 0'))
"""
_OPEN = "select workspace_id from upgrader.quarantine where released_at is null"
_SHAPE = """
select coalesce(w.id, ''), c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join core.workspace w on w.database_schema = n.nspname
where c.relkind = 'r' and c.relname ~ '^t[0-9]+$' and (n.nspname = 'core' or w.id is not null)
"""


class Walk:
    """A project and a source of whims; `done` is what was typed, for whoever reads a failure."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project = project
        self.whim = random.Random(seed)
        self.done: list[str] = []
        self.steps = tuple(project.api().registry.sequence)

    def shape(self) -> set[tuple[str, str]]:
        return {(row[0], row[1]) for row in self.project.query(_SHAPE)}

    def execute(self, sql: str) -> None:
        with self.project.connect() as connection:
            connection.execute(sql.encode())

    def ids(self) -> list[str]:
        return [row[0] for row in self.project.query("select id from core.workspace order by id")]

    def progress(self) -> dict[str, Progress]:
        with self.project.connect() as connection:
            snapshot = SqlHistoryStore(lambda: connection, "upgrader").snapshot()
        return {"": snapshot.instance, **snapshot.workspaces}

    def upgrade(self) -> None:
        limit = self.whim.choice([None, FailureLimit(count=1), FailureLimit(percent=30.0)])
        to = self.whim.choice([None, None, *map(ReleaseVersion.parse, _VERSIONS)])
        options = UpgradeOptions(to=to, include_slow=True, selection=self.selection(), max_failures=limit)
        self.tell(self.project.api(emit=self.look_up).upgrade(options))

    def downgrade(self) -> None:
        to = self.whim.choice([None, *map(ReleaseVersion.parse, ("1.0.0", *_VERSIONS))])
        steps = self.whim.randint(1, 5) if to is None else None
        options = DowngradeOptions(to=to, steps=steps, selection=self.selection())
        self.tell(self.project.api(emit=self.look_down).downgrade(options))

    def tell(self, report: RunReport) -> None:
        reasons = [refusal.reason.value for refusal in report.refusals]
        self.done[-1] += f" ({report.outcome.value}: {report.completed}, {len(report.failures)} {reasons})"

    def selection(self) -> Selection:
        ids = self.ids()
        if not ids or self.whim.random() < 0.7:
            return Selection()
        return Selection(tuple(self.whim.sample(ids, self.whim.randint(1, min(2, len(ids))))))

    def look_up(self, event: Event) -> None:
        """Nothing begins before everything of the versions below is there, wherever it is in scope."""
        if isinstance(event, StepStarted):
            below = [step for step in self.steps if step.version < event.step.version]
            missing = {place for step in below for place in self.places(step)} - self.shape()
            assert not missing, f"{event.step.name} began before {missing} after {self.done}"

    def look_down(self, event: Event) -> None:
        """Nothing is taken back before everything of the versions above is, wherever it is not set aside."""
        if isinstance(event, StepStarted):
            above = [step for step in self.steps if step.version > event.step.version and step.transactional]
            left = {place for step in above for place in self.places(step, everyone=True)} & self.shape()
            assert not left, f"{event.step.name} went before {left} after {self.done}"

    def places(self, step: Step, *, everyone: bool = False) -> list[tuple[str, str]]:
        if not step.is_workspace:
            return [("", f"t{step.timestamp}")]
        rows = self.project.query(
            "select id from core.workspace w where (%s or activation_status = 'ACTIVE') and not exists"
            " (select from upgrader.quarantine q where q.workspace_id = w.id and released_at is null)",
            everyone,
        )
        return [(row[0], f"t{step.timestamp}") for row in rows]

    def break_something(self) -> None:
        for step in self.whim.sample(self.steps, 3):
            scope = self.whim.choice("abcd") if step.is_workspace else ""
            kind = self.whim.choice(["fail", "skip"])
            self.execute(f"insert into core.fault values ('t{step.timestamp}', '{scope}', '{kind}')")

    def mend(self) -> None:
        self.execute("delete from core.fault")

    def set_aside(self) -> None:
        self.project.api().quarantine([self.whim.choice(self.ids())], reason="odd")

    def release(self) -> None:
        self.project.api().release([self.whim.choice(self.ids())])

    def close(self) -> None:
        self.execute(
            "update core.workspace set activation_status = case activation_status when 'ACTIVE' then 'CLOSED'"
            f" else 'ACTIVE' end where id = '{self.whim.choice(self.ids())}'"
        )

    def delete(self) -> None:
        id_ = self.whim.choice(self.ids())
        self.execute(f"delete from core.workspace where id = '{id_}'; drop schema ws_{id_} cascade")
        if self.whim.random() < 0.8:
            self.project.api().forget([id_])
        else:
            self.execute(f"select upgrader.forget_workspace('{id_}')")

    def make(self) -> None:
        gone = sorted({"a", "b", "c", "d"} - set(self.ids()))
        if not gone:
            return
        version = self.project.api().status().instance.inferred_version
        at = self.whim.choice(["start", version.text]) if version else "start"
        with self.project.connect(autocommit=False) as connection:
            connection.execute(f"create schema ws_{gone[0]}".encode())
            connection.execute(
                "insert into core.workspace values (%s, %s, 'ACTIVE', %s)",
                [gone[0], gone[0], f"ws_{gone[0]}"],
            )
            connection.execute("select upgrader.enroll_workspace(%s, %s)", [gone[0], at])
            self.build(connection, gone[0], at)

    def adopt(self) -> None:
        id_, version = self.whim.choice(self.ids()), self.whim.choice(_VERSIONS)
        self.project.api().baseline(ReleaseVersion.parse(version), workspace_ids=[id_])
        with self.project.connect(autocommit=False) as connection:
            self.build(connection, id_, version)

    def build(self, connection: psycopg.Connection, id_: str, at: str) -> None:
        for step in self.steps:
            if step.is_workspace and at != "start" and step.version <= ReleaseVersion.parse(at):
                connection.execute(f"create table if not exists ws_{id_}.t{step.timestamp} ()".encode())

    def prune(self) -> None:
        before = self.planned()
        self.project.api().prune(timedelta())
        assert self.planned() == before, self.done

    def planned(self) -> list[object]:
        """Give what would run, up and down, and what is said of each workspace."""
        api, told = self.project.api(), list[object]()
        plans = [
            lambda: api.plan(UpgradeOptions(include_slow=True)).plan,
            lambda: api.plan_down(DowngradeOptions(to=_BEFORE)).plan,
            lambda: api.plan_down(DowngradeOptions(steps=3)).plan,
        ]
        for make in plans:
            plan = make()
            told.append((plan.refusals, plan.stop, plan.warnings))
            told += [(one.version, one.instance_steps, [*one.tasks]) for one in plan.versions]
        for id_ in self.ids():
            told.append(api.why(id_, subject=Subject.WORKSPACE).reasons)
        return told

    def go(self) -> None:
        verbs: dict[Callable[[], None], int] = {
            self.upgrade: 60,
            self.downgrade: 60,
            self.break_something: 40,
        }
        verbs |= {self.mend: 15, self.set_aside: 8, self.release: 15, self.close: 10, self.delete: 6}
        verbs |= {self.make: 15, self.adopt: 4, self.prune: 12}
        verb = self.whim.choices([*verbs], [*verbs.values()])[0]
        self.done.append(verb.__name__)
        try:
            verb()
        except (OperatorError, IndexError) as error:
            self.done[-1] += f" ({type(error).__name__})"
        self.check()

    def settle(self) -> None:
        """Take every obstacle away."""
        self.mend()
        self.execute("update core.workspace set activation_status = 'ACTIVE'")
        aside = [row[0] for row in self.project.query(_OPEN)]
        if aside:
            self.project.api().release(aside)

    def check(self) -> None:
        with self.project.connect() as connection:
            assert_scopes_are_as_rebuilt(connection)
        shape, ids = self.shape(), self.ids()
        for scope, progress in self.progress().items():
            for step in self.steps:
                if step.is_workspace == bool(scope) and (not scope or scope in ids):
                    self.compare(step, progress, scope, (scope, f"t{step.timestamp}") in shape)

    def compare(self, step: Step, progress: Progress, scope: str, is_there: bool) -> None:
        # What fails without a transaction may be there or not.
        if progress.is_done(step) or step.transactional:
            assert progress.is_done(step) == is_there, f"{step.name} in {scope!r} after {self.done}"


@pytest.fixture
def walk(project: Project, request: pytest.FixtureRequest) -> Walk:
    project.create_workspaces("a", "b", "c")
    with project.connect() as connection:
        connection.execute("create table core.fault (step text, scope text, kind text)")
    for number, version in enumerate(_VERSIONS, start=1):
        _write(project, version, number * 10)
    assert project.api().upgrade(UpgradeOptions(to=ReleaseVersion.parse("1.1.0"), include_slow=True))
    return Walk(project, request.param)


def _write(project: Project, version: str, timestamp: int) -> None:
    """Write a fast step, a workspace step, and one that is not one transaction."""
    for number, is_workspace, transactional in ((1, False, True), (2, True, True), (3, True, False)):
        name = f"t{timestamp + number}"
        table = name if is_workspace else f"core.{name}"
        up = f"create table {'' if transactional else 'if not exists '}{table} ()"
        down = f"drop table {'' if transactional else 'if exists '}{table}"
        write = project.workspace if is_workspace else project.fast
        body = _body(up, name, is_workspace=is_workspace, may_skip=is_workspace)
        back = _body(down, name, is_workspace=is_workspace, may_skip=False)
        write(
            version,
            timestamp + number,
            name.title(),
            body,
            down=back,
            transactional=transactional,
        )


def _body(statement: str, name: str, *, is_workspace: bool, may_skip: bool) -> str:
    given = "connection = ctx.connection" if is_workspace else ""
    scope = "'ws_' || scope = current_schema()" if is_workspace else "scope = ''"
    fault = _FAULT.format(name=name, scope=scope, may_skip=may_skip)
    return f"{given}\nconnection.execute(text({statement!r}))\n{fault}"


@pytest.mark.parametrize("walk", range(3), indirect=True)
def test_the_shape_is_what_the_history_says(walk: Walk):
    """After each verb; and in the end one upgrade brings everything up, one downgrade everything down."""
    for _ in range(_ROUNDS):
        walk.go()
    walk.settle()

    report = walk.project.api(emit=walk.look_up).upgrade(UpgradeOptions(include_slow=True))
    assert report.outcome is Outcome.DONE, (report.refusals, report.failures, report.stop, walk.done)
    walk.check()
    assert walk.shape() == {place for step in walk.steps for place in walk.places(step)}
    if not any(mark.is_baseline for mark in map(_mark_of, walk.progress().values())):
        down = walk.project.api(emit=walk.look_down).downgrade(DowngradeOptions(to=_BEFORE))
        assert (down.outcome, walk.shape()) == (Outcome.DONE, set()), (down.refusals, down.failures)


def _mark_of(progress: Progress) -> Enrolment:
    return progress.enrolment or Enrolment()
