"""A run, told afterwards."""

from tests.unit.cli.builders import UUID, result, run_report, step, text, workspace_step
from upgrader.cli.render.run import next_blocks, run_blocks
from upgrader.errors import ConnectionLostError
from upgrader.model import Outcome, Scope
from upgrader.runner.result import NotSimulated, TableLock
from upgrader.sequence.plan import Refusal, RefusalReason, Stop, StopReason
from upgrader.version import ReleaseVersion

V1, V2 = ReleaseVersion.parse("1.0.0"), ReleaseVersion.parse("1.1.0")
ERROR = "CheckViolation: no\nSQLSTATE: 23514\nstatement: ALTER …\nat a.py:1\n"


def test_a_table_says_what_ran_of_each_version() -> None:
    report = run_report(result(step()), result(workspace_step(), Scope("a")))
    segment = report.segment(V1)
    segment.total, segment.done = 1200, 1200
    assert text(run_blocks(report)) == (
        "version   instance steps       workspaces   failed     time\n"
        "-----------------------------------------------------------\n"
        "1.0.0                  1   1,200 of 1,200        0   500 ms\n"
        "2 steps completed in 1.5 s\n"
    )


def test_the_time_of_a_version_is_that_of_the_clock() -> None:
    """Its instance steps and its segment; not the sum of what its workspaces took side by side or with pauses."""
    report = run_report(result(step()), result(workspace_step(), Scope("a")))
    segment = report.segment(V1)
    segment.total, segment.done, segment.seconds = 1, 1, 3.0
    assert "1 of 1        0   3.2 s\n" in text(run_blocks(report))


def test_a_failure_is_named_with_workspace_step_and_the_first_lines_of_its_error() -> None:
    failed = result(workspace_step(timestamp=1778162120466), Scope(UUID), error=ERROR, attempt=3)
    report = run_report(failed, outcome=Outcome.FAILED)
    shown = text(run_blocks(report), 60)
    assert max(map(len, shown.splitlines())) <= 60
    assert (
        "1 step not completed:\n"
        f"  workspace {UUID} failed\n"
        "    1.0.0_AddY_1778162120466, attempt 3\n"
        "    CheckViolation: no\n"
        "    SQLSTATE: 23514\n"
        "    statement: ALTER …\n"
        "    at a.py:1\n"
    ) in shown


def test_of_many_failures_only_some_are_listed() -> None:
    failed = [result(workspace_step(), Scope(f"w{number}"), error="No: no") for number in range(1025)]
    shown = text(run_blocks(run_report(*failed, outcome=Outcome.FAILED)))
    assert shown.count("workspace w") == 20
    assert "and 1,005 more: upgrader status --failed-only" in shown


def test_the_last_words_of_a_failed_run_are_what_to_do() -> None:
    stop = Stop(StopReason.WORKSPACES_LEFT, V2, "stopped before 1.1.0: 1 workspace is not through", "x")
    report = run_report(
        result(workspace_step(), Scope("a"), error="No: no"), outcome=Outcome.FAILED, stop=stop
    )
    assert text(next_blocks(report)) == (
        "error: 1 step failed; stopped before 1.1.0: 1 workspace is not through\n"
        "hint: mend what is named above, then run the same command again: done steps stay done\n"
    )


def test_a_run_that_was_cut_off_says_why() -> None:
    report = run_report(
        outcome=Outcome.FAILED, error=ConnectionLostError("the server went", hint="run again")
    )
    assert text(next_blocks(report)) == "error: the server went\nhint: run again\n"


def test_each_refusal_has_its_hint() -> None:
    refusals = [
        Refusal(RefusalReason.AHEAD, "ahead", "go"),
        Refusal(RefusalReason.MISSING_STEPS, "gone", "do"),
    ]
    report = run_report(outcome=Outcome.REFUSED, refusals=refusals)
    assert text(next_blocks(report)) == "error: ahead\nhint: go\nerror: gone\nhint: do\n"


def test_a_stop_at_a_barrier_ends_with_what_to_type() -> None:
    stop = Stop(StopReason.SLOW_DEFERRED, V2, "stopped before 1.1.0", "run `upgrader upgrade --include-slow`")
    report = run_report(outcome=Outcome.STOPPED_AT_BARRIER, stop=stop)
    assert text(next_blocks(report)).endswith("\nhint: run `upgrader upgrade --include-slow`\n")


def test_an_interrupted_run_says_how_much_is_left() -> None:
    report = run_report(outcome=Outcome.INTERRUPTED, signal_name="SIGTERM", left=1234)
    assert text(next_blocks(report)).startswith("error: stopped by SIGTERM: 1,234 steps left\nhint: ")


def test_a_run_that_is_done_has_nothing_more_to_say() -> None:
    report = run_report(target=V2)
    assert text(next_blocks(report)) == ""
    assert text(run_blocks(report)) == "nothing to run: app@db/app is at 1.1.0\n"


def test_deferred_steps_are_named() -> None:
    slow = step("Fill")
    report = run_report(deferred=[slow])
    assert "1 slow step deferred:\n  1.0.0_Fill_1\n" in text(run_blocks(report))
    assert text(next_blocks(report)).startswith("hint: run `upgrader upgrade --include-slow`")


def test_a_dry_run_tells_what_it_found() -> None:
    report = run_report(result(step()))
    report.dry_run, report.simulated_to = True, V1
    report.not_simulated.append(NotSimulated(step("Index"), "it runs outside a transaction"))
    report.table_locks.append(TableLock("core.invoice", 2.2, 3))
    shown = text(run_blocks(report))
    assert "not simulated: 1.0.0_Index_1: it runs outside a transaction\n" in shown
    assert "locked exclusively: core.invoice for 2.2 s, 3 times\n" in shown
    assert "the dry run looked as far as the barrier after 1.0.0\n" in shown
    assert shown.endswith("1 step tried and rolled back in 1.5 s\n")
