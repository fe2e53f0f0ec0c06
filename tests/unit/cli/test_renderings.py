"""Commands, attempts, plans, a status and workspaces, for people."""

from tests.unit.cli.builders import UUID, attempt, step, text, workspace_step
from tests.unit.sequence.builders import database, done, options, seq
from tests.unit.status.test_build import status
from upgrader.api import PlanReport
from upgrader.cli.render.history import history_blocks
from upgrader.cli.render.listing import list_blocks
from upgrader.cli.render.plan import plan_blocks
from upgrader.cli.render.status import status_blocks
from upgrader.cli.render.workspaces import workspaces_blocks
from upgrader.model import AttemptStatus, Enrolment, Progress, Workspace
from upgrader.runner.options import UpgradeOptions
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member
from upgrader.survey import Survey
from upgrader.version import ApplicationVersion
from upgrader.workspaces import WorkspaceListing

#   1.0.0 f1 s2 │ w3  ║  1.1.0 f4 │ w5
SEQUENCE = seq("1.0.0 f1 s2 w3 | 1.1.0 f4 w5")


def plan_report(state: DatabaseState, sequence: StepSequence = SEQUENCE, **rest: object) -> PlanReport:
    plan = make_plan(sequence, state, options("1.1.0", **rest))
    return PlanReport(
        plan, Survey(state, WorkspaceListing(True), {}), UpgradeOptions(), "app@db/app", "1.1.0"
    )


def test_commands_are_listed_by_version_and_kind_with_their_marks() -> None:
    steps = [
        step("AddX", place="commands/a.py:3", reversible=True),
        workspace_step("AddY", timestamp=2, place="commands/b.py:3", cli_name="add-y", transactional=False),
        step("Later", version="2.0.0", timestamp=3, place="commands/c.py:3"),
    ]
    assert text(list_blocks(steps, ApplicationVersion.parse("1.5.0"))) == (
        "1.0.0\n"
        "  fast\n"
        "    1 AddX\n"
        "      commands/a.py:3\n"
        "  workspace\n"
        "    2 AddY (irreversible, not transactional, name: add-y)\n"
        "      commands/b.py:3\n"
        "\n"
        "2.0.0  dormant: the application is 1.5.0\n"
        "  fast\n"
        "    3 Later (dormant, irreversible)\n"
        "      commands/c.py:3\n"
    )


def test_a_plan_says_what_runs_where_it_stops_and_what_to_type() -> None:
    shown = text(plan_blocks(plan_report(database(done(SEQUENCE), a=done(SEQUENCE), b=done(SEQUENCE)))))
    assert shown == (
        "app@db/app, application 1.1.0\n"
        "2 workspaces in scope\n"
        "\n"
        "1.0.0\n"
        "  F1 (fast)\n"
        "  S2 (slow): deferred, runs with --include-slow\n"
        "  in 2 workspaces:\n"
        "    W3\n"
        "\n"
        "3 steps to run in 1 version: upgrader upgrade with the same options\n"
        "stopped before 1.1.0: 1 slow step is pending: 1.0.0_S2_2\n"
        "hint: run `upgrader upgrade --include-slow` to run them now, or `upgrader upgrade --defer-slow` "
        "to go on with 1.1.0 before them\n"
    )


def test_a_plan_of_nothing_says_so() -> None:
    all_done = done(SEQUENCE, "f1 s2 w3 f4 w5")
    assert text(plan_blocks(plan_report(database(all_done, a=all_done)))).endswith("\nnothing to run\n")


def test_a_plan_that_is_refused_says_so() -> None:
    shown = text(plan_blocks(plan_report(database(done(SEQUENCE, "s2 f4"), a=done(SEQUENCE)))))
    assert shown.endswith("\nnothing would run as it stands\n")


def test_attempts_are_a_table_where_there_is_room() -> None:
    shown = text(history_blocks([attempt(), attempt(workspace_id=UUID, id=6)], has_more=True, width=None))
    head, _, first, second, more = shown.splitlines()
    assert head.split() == ["id", "step", "scope", "status", "try", "took", "started"]
    assert first.split()[:4] == ["7", "1.0.0_AddX_1", "instance", "completed"]
    assert UUID in second
    assert more == "there are more than these 2 attempts: --limit N shows more"


def test_attempts_are_blocks_on_a_narrow_terminal() -> None:
    failed = attempt(
        workspace_id=UUID, status=AttemptStatus.FAILED, attempt=2, error_message="No: no\nmore\nlast"
    )
    shown = text(history_blocks([failed], has_more=False, width=60))
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.startswith(f"7 1.0.0_AddX_1\n  workspace {UUID}\n  failed, try 2, 0 ms, ")
    assert shown.endswith("    No: no\n    more\n    …\n")


def test_no_attempts_is_said() -> None:
    assert text(history_blocks([], has_more=False, width=60)) == "no attempts\n"


def test_a_status_shows_instance_summary_and_each_workspace() -> None:
    sequence = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 w6")
    whole, some = done(sequence, "f1 s2 f5 w3 a4 w6"), done(sequence, "w3")
    shown = text(status_blocks(status(database(whole, a=whole, b=some)), is_whole=False, width=None))
    assert "instance: up-to-date at 1.1.0, last 1.1.0_W6_6\n" in shown
    assert "2 workspaces: 1 up-to-date, 1 behind\n" in shown
    assert [line.split()[0] for line in shown.splitlines()[-2:]] == ["a", "b"]


def test_a_status_of_many_workspaces_counts_them() -> None:
    sequence = seq("1.0.0 f1 s2 w3 a4 | 1.1.0 f5 w6")
    whole = done(sequence, "f1 s2 f5 w3 a4 w6")
    report = status(database(whole, **{f"w{number}": whole for number in range(60)}))
    shown = text(status_blocks(report, is_whole=False, width=60))
    assert "1.1.0     up-to-date           60\n" in shown
    assert shown.endswith("60 workspaces not shown one by one: --all shows them, -w ID one of them\n")
    assert "w59" in text(status_blocks(report, is_whole=True, width=60))


def test_workspaces_are_listed_with_where_they_entered() -> None:
    state = DatabaseState(
        instance=Progress(Enrolment()),
        members=[Member(UUID, Progress(Enrolment()))],
        others=[Member("b", Progress())],
    )
    listing = WorkspaceListing(
        True, [Workspace(UUID, "ws_a", "Ann", "ACTIVE")], [Workspace("b", status="GONE")]
    )
    survey = Survey(state, listing, {})
    wide, narrow = (text(workspaces_blocks(survey, is_whole=False, width=width)) for width in (None, 60))
    assert wide.splitlines()[2].split() == [UUID, "Ann", "ACTIVE", "ws_a", "start"]
    assert wide.splitlines()[3].split() == ["b", "GONE", "(out", "of", "scope)", "not", "enrolled"]
    assert narrow.startswith(f"{UUID} (Ann)\n  ACTIVE, schema ws_a, enrolled at start\n")
    assert narrow.endswith("\n2 workspaces, 1 of them out of scope\n")
