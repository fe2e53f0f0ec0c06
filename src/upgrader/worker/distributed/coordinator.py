"""Puts together what a run needs to have its workspaces done by workers on other machines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from upgrader.database.connect import identifier
from upgrader.settings import require_database_url
from upgrader.worker.distributed.board import CoordinatorBoard
from upgrader.worker.distributed.crew import COORDINATOR, Crew
from upgrader.worker.distributed.executor import DistributedExecutor, Invites
from upgrader.worker.distributed.invitations import QueueInvitations
from upgrader.worker.distributed.terms import RunTerms

if TYPE_CHECKING:
    from upgrader.api import Upgrader
    from upgrader.registry import Registry
    from upgrader.runner.database_access import ExecutorFactory, OpenRun
    from upgrader.runner.options import UpgradeOptions
    from upgrader.runner.result import RunReport
    from upgrader.runner.segment import SegmentExecutor
    from upgrader.runner.step_parts import StepParts
    from upgrader.runner.workspace_walk import SegmentParts


def upgrade_distributed(upgrader: Upgrader, options: UpgradeOptions) -> RunReport:
    """Run `upgrade`, its workspaces done by whatever workers listen to the queue.

    Raises:
        OperatorError: refused before anything ran; there is no queue, for example.
        LockHeldError: another run is at work.
    """
    settings, registry = upgrader.settings, upgrader.registry
    require_database_url(settings)
    with QueueInvitations.of_settings(settings, directory=upgrader.directory) as invites:
        executor = distributing(registry, invites=invites, stalled_seconds=settings.worker.stalled_seconds)
        return upgrader.upgrade(options, executor=executor)


def distributing(registry: Registry, *, invites: Invites, stalled_seconds: float) -> ExecutorFactory:
    """Give what `Upgrader.upgrade` takes as its executor.

    Args:
        registry: the commands; workers have to have the same.
        stalled_seconds: a worker that is silent for so long is taken to be lost.
    """

    def make(segment: SegmentParts, run: OpenRun, steps: StepParts) -> SegmentExecutor:
        schema = steps.keys.schema
        board = CoordinatorBoard(lambda: run.control.driver, history_schema=schema, run_id=run.run_id)
        spare = CoordinatorBoard(lambda: run.lock.driver, history_schema=schema, run_id=run.run_id)
        history = identifier(schema, "history").replace("%", "%%")
        crew = Crew(
            board,
            run.lock,
            spare=spare,
            keys=steps.keys,
            report=segment.report,
            stalled_seconds=stalled_seconds,
            interrupt=lambda ids: board.interrupt_running(ids, history=history),
            holders=run.lock.workspace_holders,
        )
        executor = DistributedExecutor(
            segment,
            run_id=run.run_id,
            board=board,
            crew=crew,
            invites=invites,
            terms=_terms(registry, segment, steps),
            steps=registry.sequence.by_name,
            settle=run.store.interrupt_running,
        )
        segment.report.jobs = "distributed"
        run.lock.hold(steps.keys.presence(run.run_id, COORDINATOR))
        # A run before this one may have left its rows, also where this one had nothing to hand out. Its own go on
        # either connection: one of the two may be lost.
        of_workers = (invites.withdraw, crew.dismiss, board.remove)
        run.at_end(lambda: _do_each(*(of_workers if executor.is_open else ()), spare.clear))
        return executor

    return make


def _terms(registry: Registry, segment: SegmentParts, steps: StepParts) -> RunTerms:
    return RunTerms.of(
        steps.settings,
        registry.sequence,
        source=repr(steps.source),
        backfill=steps.backfill,
        verbose=steps.verbose,
        rereads_state=steps.rereads_state,
        failures_at_most=segment.limit.count,
    )


def _do_each(*actions: Callable[[], None]) -> None:
    for action in actions:
        with suppress(Exception):  # the run has come to its end, whatever became of its connections
            action()
