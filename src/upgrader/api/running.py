"""The verbs that run steps, up and down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.model import Direction, FailureLimit, Jobs
from upgrader.runner.options import DowngradeOptions, UpgradeOptions, failure_limit
from upgrader.runner.result import RunReport
from upgrader.runner.upgrade import UpgradeRun
from upgrader.sequence.plan import Selection

if TYPE_CHECKING:
    from upgrader.runner.database_access import ExecutorFactory
    from upgrader.runner.script import Script


from upgrader.api.foundation import Foundation


class Running(Foundation):
    """Runs steps."""

    def upgrade(self, options: UpgradeOptions, *, executor: ExecutorFactory | None = None) -> RunReport:
        """Run `upgrade`.

        Args:
            executor: makes what takes the workspaces, in the place of lanes of this process. A dry run, which is
                one transaction, has no use for it.

        Raises:
            OperatorError: refused before anything ran.
            LockHeldError: another run is at work.
        """
        sequence = self.registry.sequence  # loading comes before the database is touched
        given = None if options.dry_run else executor
        jobs = Jobs() if given is not None else self._jobs(options)
        with self._access.run(options.wait_lock_seconds, jobs=jobs) as run:
            report = self._access.report(run, dry_run=options.dry_run)
            parts = self._access.parts(
                run,
                report,
                sequence=sequence,
                commands=self.registry,
                verbose=options.verbose,
                limit=options.failure_limit(self._access.run_settings),
                backfill=options.backfill,
                order=options.order,
                executor=given,
            )
            if options.dry_run:
                from upgrader.runner.dry_run import DryRun  # a plain upgrade does not need it

                return DryRun(parts, options, report).execute()
            return UpgradeRun(parts, options, report).execute()

    def downgrade(self, options: DowngradeOptions) -> RunReport:
        """Take steps back, newest first: everything above a version, or a number of steps.

        Raises:
            OperatorError: refused before anything ran.
            LockHeldError: another run is at work.
        """
        from upgrader.runner.downgrade import DowngradeRun

        sequence = self.registry.sequence
        with self._access.run(options.wait_lock_seconds, jobs=self._jobs(options)) as run:
            report = self._access.report(run, dry_run=options.dry_run, direction=Direction.DOWN)
            parts = self._access.parts(
                run,
                report,
                sequence=sequence,
                commands=self.registry,
                verbose=options.verbose,
                limit=options.failure_limit(self._access.run_settings),
                order=options.order,
            )
            if options.dry_run:
                from upgrader.runner.down_dry_run import DownDryRun

                return DownDryRun(parts, options, report).execute()
            return DowngradeRun(parts, options, report).execute()

    def _jobs(self, options: UpgradeOptions | DowngradeOptions) -> Jobs:
        """Give how many workspaces are worked on at a time; a dry run is one transaction."""
        return Jobs() if options.dry_run else options.jobs or self._access.run_settings.jobs

    def sql(self, options: UpgradeOptions, *, shows_all_workspaces: bool = False) -> Script:
        """Give what `upgrade` with the same options would execute; tries it and rolls it back, like a dry run.

        Args:
            shows_all_workspaces: not only the first of those that have the same steps before them.

        Raises:
            LockHeldError: another run is at work.
        """
        from upgrader.runner.script_book import ScriptBook
        from upgrader.runner.script_run import ScriptRun

        sequence = self.registry.sequence
        book = ScriptBook()
        with self._access.run(options.wait_lock_seconds) as run:
            report = self._access.report(run, dry_run=True)
            parts = self._access.parts(
                run, report, sequence=sequence, commands=self.registry, make_runner=book.listening_runner
            )
            return ScriptRun(
                parts, options, report, book=book, shows_all_workspaces=shows_all_workspaces
            ).script()

    def run_workspace_command(
        self,
        name: str,
        *,
        selection: Selection | None = None,
        again: bool = False,
        verbose: bool = False,
        fail_fast: bool = False,
        max_failures: FailureLimit | None = None,
        wait_lock_seconds: float = 0.0,
    ) -> RunReport:
        """Run one workspace command where it is pending and everything before it is done.

        Args:
            name: its CLI name.
            again: run it where it is completed, too.
            max_failures: when to end early; by default what the settings say.

        Raises:
            OperatorError: there is no such command, or it is dormant.
            LockHeldError: another run is at work.
        """
        from upgrader.runner.workspace_run import WorkspaceRun, find_workspace_step

        sequence = self.registry.sequence
        step = find_workspace_step(sequence, name, sequence.covered_by(self.app_version))
        with self._access.run(wait_lock_seconds) as run:
            self._bring_up_to_date(run)
            report = self._access.report(run, dry_run=False)
            limit = failure_limit(self._access.run_settings, fail_fast=fail_fast, max_failures=max_failures)
            parts = self._access.parts(
                run,
                report,
                sequence=sequence,
                commands=self.registry,
                verbose=verbose,
                limit=limit,
                repeats=again,
            )
            return WorkspaceRun(parts, step, selection or Selection(), report, again=again).execute()
