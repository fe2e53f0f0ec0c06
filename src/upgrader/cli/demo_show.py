"""The script of the demo: what is done, in which order, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.cli import exit_codes
from upgrader.cli.demo_place import DemoPlace
from upgrader.cli.render.blocks import Line

if TYPE_CHECKING:
    from upgrader.demo.fault import Fault

_PROMPT = "$"
_FLAGS = "--include-slow --distributed"


def show(place: DemoPlace) -> int:
    """Play the demo: before, failure, barrier, repair, resumption, proof. Give the exit code.

    It ends early where something other than the planted fault fails, or a signal comes.
    """
    fault = _before(place)
    _plan(place)
    code = _first_run(place)
    if code != exit_codes.FAILED:
        return code
    _barrier(place)
    _repair(place, fault)
    code = _second_run(place)
    if code != exit_codes.DONE:
        return code
    _status(place)
    return _proof(place)


def show_distributed(place: DemoPlace) -> int:
    """Play the demo with three worker processes, of which one is killed in the first run. Give the exit code."""
    from upgrader.cli.demo_workers import WORKERS, demo_workers, killing_one

    fault = _before(place)
    _chapter(place, f"2. {WORKERS} workers", "upgrader worker --concurrency 2")
    _say(
        place,
        "They may run on any machines that reach the database and have the same commands. Here they are processes"
        " of this one; the first upgrade below is theirs, and one of them is killed in the middle of it.",
    )
    with demo_workers(place) as workers:
        with killing_one(place, workers):
            _chapter(place, "3. The upgrade", f"upgrader upgrade {_FLAGS}")
            code = _run_distributed(place)
        if code != exit_codes.FAILED:
            return code
        _barrier(place)
        _repair(place, fault)
        _chapter(place, "6. The same command again goes on where it was", f"upgrader upgrade {_FLAGS}")
        code = _run_distributed(place)
    if code != exit_codes.DONE:
        return code
    _status(place)
    return _proof(place)


def _run_distributed(place: DemoPlace) -> int:
    from upgrader.cli.distributed import upgrading
    from upgrader.cli.run import run_and_report
    from upgrader.runner.options import UpgradeOptions

    run = upgrading(UpgradeOptions(include_slow=True), is_distributed=True)
    return run_and_report(place.invocation, run, is_verbose=False)


def _before(place: DemoPlace) -> Fault:
    from upgrader.demo.before import prepare
    from upgrader.demo.fault import plant_fault

    _chapter(place, "1. Release 1.20.0")
    _say(
        place,
        "An invented product: a schema `core` that all tenants share, and a schema of its own for each of 244 "
        "tenants (workspaces). They are countries, and hold 34,006 real cities. Some have one, India has 3,779.",
    )
    with place.engine.begin() as connection:
        prepare(connection)
    with place.engine.begin() as connection:
        fault = plant_fault(connection)
    _say(place, f"So that something goes wrong: {fault.description}.")
    return fault


def _plan(place: DemoPlace) -> None:
    from upgrader.cli.render.plan import plan_blocks
    from upgrader.runner.options import UpgradeOptions

    _chapter(place, "2. What releases 1.21.0 to 1.23.0 have to change", "upgrader plan --include-slow")
    report = place.invocation.upgrader().plan(UpgradeOptions(include_slow=True))
    place.invocation.output.show(*plan_blocks(report))


def _first_run(place: DemoPlace) -> int:
    _chapter(place, "3. The upgrade", "upgrader upgrade --include-slow")
    return _run(place)


def _barrier(place: DemoPlace) -> None:
    from upgrader.cli.render.status import status_blocks

    _chapter(place, "4. One workspace failed, and holds the barrier", "upgrader status --failed-only")
    output = place.invocation.output
    report = place.invocation.upgrader().status(failed_only=True)
    output.show(*status_blocks(report, is_whole=True, width=output.stdout_width))
    _say(
        place,
        "All others went on to the end of their version. Nothing of the next version has begun: its first step "
        "waits for every workspace. What the failed step had done was rolled back.",
    )


def _repair(place: DemoPlace, fault: Fault) -> None:
    from upgrader.demo.fault import repair

    _chapter(place, "5. The repair")
    place.invocation.output.show(Line(f"{fault.repair_sql};", indent=2, verbatim=True))
    with place.engine.begin() as connection:
        repair(connection, fault)


def _second_run(place: DemoPlace) -> int:
    _chapter(place, "6. The same command again goes on where it was", "upgrader upgrade --include-slow")
    return _run(place)


def _status(place: DemoPlace) -> None:
    from upgrader.cli.render.status import status_blocks

    _chapter(place, "7. Where everything stands", "upgrader status")
    output = place.invocation.output
    report = place.invocation.upgrader().status()
    output.show(*status_blocks(report, is_whole=False, width=output.stdout_width))
    _say(place, "Out of scope are INACTIVE workspaces: they stay at 1.20.0, and catch up when they are back.")


def _proof(place: DemoPlace) -> int:
    from upgrader.demo.verify import expected_figures, verify

    _chapter(place, "8. Nothing was lost")
    with place.engine.begin() as connection:
        wrong = verify(connection)
    figures = expected_figures().values()
    cities, people = sum(one.cities for one in figures), sum(one.population for one in figures)
    if wrong:
        for discrepancy in wrong:
            place.invocation.output.problem(str(discrepancy))
        return exit_codes.FAILED
    _say(
        place,
        f"{cities:,} cities with {people:,} inhabitants in {len(figures):,} workspaces: "
        "counts, populations and coordinates are those of the files, in each and in all.",
    )
    return exit_codes.DONE


def _run(place: DemoPlace) -> int:
    from upgrader.cli.run import run_and_report
    from upgrader.runner.options import UpgradeOptions

    options = UpgradeOptions(include_slow=True)
    return run_and_report(place.invocation, lambda upgrader: upgrader.upgrade(options), is_verbose=False)


def _chapter(place: DemoPlace, title: str, command: str | None = None) -> None:
    place.invocation.output.show(Line(), Line(title, style="bold"))
    if command is not None:
        place.invocation.output.show(Line(command, label=_PROMPT, style="dim"))


def _say(place: DemoPlace, text: str) -> None:
    place.invocation.output.show(Line(text))
