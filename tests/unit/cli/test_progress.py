"""What is seen of a run while it is at work."""

import pytest

from tests.unit.cli.builders import Clock, Recorded, step, text, workspace_step
from upgrader import events
from upgrader.cli.progress import RunDisplay
from upgrader.cli.render.events import event_blocks
from upgrader.cli.segment_progress import SegmentProgress
from upgrader.model import INSTANCE, AttemptStatus, Blocker, LockWait, Scope, Step, Workspace
from upgrader.version import ReleaseVersion

V1 = ReleaseVersion.parse("1.0.0")


def finished(index: int, *, total: int, result: str = "done", error: str | None = None) -> events.Event:
    workspace = Workspace(f"w{index}", display_name="Ann")
    return events.WorkspaceFinished(V1, workspace, index, total, result, 0.1, error)


def step_finished(of: Step, scope: Scope = INSTANCE, error: str | None = None) -> events.StepFinished:
    status = AttemptStatus.FAILED if error else AttemptStatus.COMPLETED
    return events.StepFinished(of, scope, 1, status, 0.25, error)


def waits_for(pid: int) -> LockWait:
    blocker = Blocker(pid=pid)
    return LockWait("ShareLock", "core.invoice", 1.0, "then", False, (blocker,))


def test_that_it_is_the_first_upgrade_is_the_first_line() -> None:
    output = Recorded()
    with RunDisplay(output, is_verbose=True) as display:
        display(events.RunStarted("f00", "1.0.0", False, "app@db/app"))
        display(events.Notice("there are no workspaces", "warning"))
        display(events.FirstUpgrade(248, 244))
        display(events.VersionStarted(V1, 1, 0))
    first, *rest = output.err.getvalue().splitlines()
    assert first.startswith("first upgrade of this database (248 tables, 244 workspaces): ")
    assert "`upgrader baseline VERSION`" in first
    assert rest == [
        "run f00 on app@db/app, application 1.0.0",
        "warning: there are no workspaces",
        "1.0.0: 1 instance step",
    ]


def test_what_was_held_back_is_told_at_the_end_at_the_latest() -> None:
    output = Recorded()
    with RunDisplay(output) as display:
        display(events.Notice("odd", "warning"))
    assert output.err.getvalue() == "warning: odd\n"


def test_without_a_terminal_a_segment_has_few_lines() -> None:
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        display(events.SegmentStarted(V1, 10_000))
        for index in range(1, 10_001):
            clock.now += 0.0025
            display(finished(index, total=10_000))
        display(events.SegmentFinished(V1, 10_000, 0, 0, 25.0))
    assert output.err.getvalue().splitlines() == [
        "  1.0.0: 4,000 of 10,000 workspaces, 400/s, less than a minute left",
        "  1.0.0: 8,000 of 10,000 workspaces, 400/s, less than a minute left",
        "  10,000 workspaces done in 25.0 s",
    ]


def test_lanes_that_end_in_any_order_are_counted() -> None:
    """What is through is how many ended, not the place of the one that ended last."""
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        display(events.SegmentStarted(V1, 500))
        for index, result in ((4, "done"), (2, "failed"), (1, "skipped"), (3, "left-out"), (5, "done")):
            clock.now += 10.0
            display(finished(index, total=500, result=result))
    lines = [line for line in output.err.getvalue().splitlines() if "of 500" in line]
    assert lines[0].startswith("  1.0.0: 1 of 500 workspaces, 6.0/min, ")
    assert lines[-1].startswith("  1.0.0: 5 of 500 workspaces, 1 failed, 1 skipped, 6.0/min, ")
    assert lines[-1].endswith("left")


def test_a_step_that_takes_long_is_named_with_what_it_waits_for() -> None:
    """Of several lanes the one that has been at it for longest; nothing where none is slow."""
    clock = Clock()
    progress = SegmentProgress("1.0.0", 3, clock)
    progress.take(events.StepStarted(workspace_step(), Scope("a"), 1))
    clock.now = 5.0
    progress.take(events.StepStarted(workspace_step(), Scope("b"), 1))
    assert progress.line == "1.0.0: 0 of 3 workspaces"
    clock.now = 30.0
    assert progress.line == "1.0.0: 0 of 3 workspaces; workspace a: AddY, for 30.0 s"
    wait = waits_for(7)
    progress.take(events.StepProgress(workspace_step(), Scope("a"), 30.0, wait=wait))
    assert progress.line.endswith("; workspace a: AddY waits for pid 7, for 30.0 s")
    progress.take(step_finished(workspace_step(), Scope("a")))
    assert progress.line.endswith("; workspace b: AddY, for 25.0 s")


def test_lanes_that_wait_for_the_same_session_are_one_line() -> None:
    """In ten seconds; another blocker has its own."""
    output, clock = Recorded(), Clock()

    def waiting(lane: str, pid: int) -> events.StepProgress:
        wait = waits_for(pid)
        return events.StepProgress(workspace_step(), Scope(lane), 1.0, wait=wait)

    with RunDisplay(output, clock=clock) as display:
        display(events.SegmentStarted(V1, 500))
        for second in range(12):
            clock.now = float(second)
            for lane in "abcd":
                display(waiting(lane, 7))
            if second == 3:
                display(waiting("e", 8))
    told = output.err.getvalue().splitlines()
    assert [("pid 7" in line, "pid 8" in line) for line in told] == [
        (True, False),
        (False, True),
        (True, False),
    ]


def test_statements_of_lanes_that_speak_in_turns_name_their_workspace() -> None:
    """Where another's came last; not where one workspace's follow each other."""
    output = Recorded()
    with RunDisplay(output, is_verbose=True) as display:
        for lane in "aabba":
            display(events.StatementExecuted(Scope(lane), "1.0.0_AddY_1", f"SELECT '{lane}'", None, 0.001, 1))
    told = [line.strip() for line in output.err.getvalue().splitlines() if "ms" not in line]
    assert told == [
        "workspace a:", "SELECT 'a'", "SELECT 'a'", "workspace b:", "SELECT 'b'", "SELECT 'b'", "workspace a:",
        "SELECT 'a'",
    ]  # fmt: skip


def test_where_nothing_ends_it_is_still_told() -> None:
    """Without a terminal a clock of its own tells every ten seconds how far it is."""
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        display(events.SegmentStarted(V1, 3))
        for second in range(35):
            clock.now = float(second)
            display._tick()
    assert output.err.getvalue().splitlines() == ["  1.0.0: 0 of 3 workspaces"] * 3


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_bar_gives_way_to_the_numbers(width: int) -> None:
    """Whatever the width of the terminal: one line, the numbers whole as long as they fit."""
    output = Recorded(terminal=True, COLUMNS=str(width))
    with RunDisplay(output) as display:
        display(events.SegmentStarted(ReleaseVersion.parse("1.22.0"), 100_000))
        for index in range(1, 13):
            display(finished(index, total=100_000, result="failed" if index % 2 else "skipped"))
        live = display._live._progress
        assert live is not None
        table = live.make_tasks_table(live.tasks)
        lines = live.console.render_lines(table)
    assert len(lines) == 1
    shown = "".join(segment.text for segment in lines[0])
    assert len(shown.rstrip()) <= width
    assert "1.22.0" in shown
    assert "12/100,000 6 failed" in shown
    if width >= 80:
        assert "6 skipped" in shown
        assert "━" in shown


def test_each_failure_has_a_line() -> None:
    output = Recorded()
    with RunDisplay(output) as display:
        display(events.SegmentStarted(V1, 3))
        display(finished(1, total=3, result="failed", error="CheckViolation: no\nSQLSTATE: 23514"))
        display(finished(2, total=3, result="left-out"))
        display(finished(3, total=3))
        display(events.SegmentFinished(V1, 1, 1, 1, 0.5))
    assert output.err.getvalue().splitlines() == [
        "  failed: w1 (Ann): CheckViolation: no",
        "  left out: w2 (Ann): gone, or out of scope since it was listed",
        "  1 workspace done, 1 failed, 1 left out in 500 ms",
    ]


def test_waiting_is_told_every_ten_seconds() -> None:
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        for second in range(25):
            clock.now = float(second)
            display(events.Waiting("run-lock", f"waiting for pid 1, {second} s", float(second)))
    assert output.err.getvalue().splitlines() == [
        "waiting for pid 1, 0 s",
        "waiting for pid 1, 10 s",
        "waiting for pid 1, 20 s",
    ]


def test_a_terminal_has_a_bar_that_goes_away() -> None:
    output = Recorded(terminal=True, COLUMNS="60")
    with RunDisplay(output) as display:
        display(events.SegmentStarted(V1, 2))
        display(finished(1, total=2, result="failed", error="No: no"))
        display(finished(2, total=2))
        display(events.SegmentFinished(V1, 1, 1, 0, 0.5))
    shown = output.err.getvalue()
    assert "2/2" in shown
    assert "1 failed" in shown
    assert "w1 (Ann): No: no" in shown
    assert output.above is None


def test_instance_steps_have_a_line_each_and_slow_ones_two() -> None:
    slow = step("Fill", transactional=False)
    shown = [
        text(event_blocks(event))
        for event in (
            events.StepStarted(step(), INSTANCE, 1),
            step_finished(step()),
            events.StepStarted(slow, INSTANCE, 2),
            step_finished(slow, error="No: no\nmore"),
        )
    ]
    assert shown == [
        "",
        "  AddX (fast) completed in 250 ms\n",
        "  Fill (fast) begins, attempt 2\n",
        "  failed: Fill (fast): No: no\n",
    ]


def test_steps_of_workspaces_are_only_told_when_asked_for() -> None:
    event = step_finished(workspace_step(), Scope("a"))
    assert event_blocks(event) == []
    assert text(event_blocks(event, is_verbose=True)) == (
        "  workspace a: AddY (workspace) completed in 250 ms\n"
    )


@pytest.mark.parametrize("is_verbose", [False, True])
def test_of_a_segment_only_failures_are_told_unless_asked_for(is_verbose: bool) -> None:
    output, of = Recorded(), workspace_step()
    with RunDisplay(output, is_verbose=is_verbose, clock=Clock()) as display:
        display(events.SegmentStarted(V1, 2))
        for index, error in ((1, None), (2, "ValueError: no")):
            display(events.StepStarted(of, Scope(f"w{index}"), 1))
            display(step_finished(of, Scope(f"w{index}"), error))
            display(finished(index, total=2, result="failed" if error else "done", error=error))
        display(events.SegmentFinished(V1, 1, 1, 0, 1.0))
    lines = output.err.getvalue().splitlines()
    assert lines[-2:] == ["  failed: w2 (Ann): ValueError: no", "  1 workspace done, 1 failed in 1.0 s"]
    begun = [line.split()[1] for line in lines if " begins" in line]
    assert begun == (["w1:", "w2:"] if is_verbose else [])
    assert len(lines) == (5 if is_verbose else 2)


def test_statements_have_time_and_rows_and_parameters_only_when_asked_for() -> None:
    event = events.StatementExecuted(
        INSTANCE, "1.0.0_AddX_1", "UPDATE t\n  SET a = %(a)s", {"a": 1}, 0.0123, 2
    )
    assert text(event_blocks(event, is_verbose=True)) == (
        "      UPDATE t SET a = %(a)s\n        12.3 ms, 2 rows\n"
    )
    shown = text(event_blocks(event, is_verbose=True, shows_parameters=True))
    assert shown.endswith("        parameters: a=1\n")


def test_statements_name_the_line_that_issued_them_and_say_where_they_failed() -> None:
    event = events.StatementExecuted(
        INSTANCE,
        "1.0.0_AddX_1",
        "SELECT 1",
        None,
        0.001,
        -1,
        "/app/commands/v1/7_add_x.py",
        12,
        has_failed=True,
    )
    assert text(event_blocks(event, is_verbose=True)) == (
        "      SELECT 1\n        1.0 ms, failed, 7_add_x.py:12\n"
    )


def test_what_a_command_logs_is_told_where_it_does_not_flood() -> None:
    def told(level: str, scope: Scope, *, verbose: bool = False) -> str:
        return text(event_blocks(events.AuthorLog("so", level, scope, "1.0.0_AddX_1"), is_verbose=verbose))

    assert told("INFO", INSTANCE) == "    so\n"
    assert told("INFO", Scope("a")) == ""
    assert told("INFO", Scope("a"), verbose=True) == "    workspace a: so\n"
    assert told("WARNING", Scope("a")) == "    workspace a: warning: so\n"


def test_whom_a_run_waits_for_next_is_told_at_once() -> None:
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        display(events.Waiting("run-lock", "waiting for another upgrade", 0.0))
        clock.now += 1.0
        display(events.Waiting("fence", "waiting for pid 7", 0.2))
    assert output.err.getvalue() == "waiting for another upgrade\nwaiting for pid 7\n"
