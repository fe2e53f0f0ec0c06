"""The dry run of a downgrade: the mirror of that of an upgrade, with the same limits.

    version 3:  BEGIN · workspace · workspace · … · instance steps     effects are kept while both limits hold
    version 2:  workspace · …
    ROLLBACK

Where a limit is reached among the workspaces of the newest version, each further one is undone before the next;
the dry run then ends behind them, because the instance steps need all of them taken back.
"""

from __future__ import annotations

from collections.abc import Mapping

from upgrader.history.steps_back import StepsBack
from upgrader.model import Workspace
from upgrader.runner.dry_run import DryRun, LimitReached
from upgrader.runner.options import DowngradeOptions, down_options
from upgrader.sequence.down_plan import DownPlan
from upgrader.sequence.plan import PlannedVersion
from upgrader.sequence.way_down import make_way_down


class DownDryRun(DryRun):
    """One run of `downgrade --dry-run`."""

    _at_least = "not beyond its workspaces"

    def _make_plan(self) -> DownPlan:
        parts, options = self._parts, self._options
        assert isinstance(options, DowngradeOptions)
        names = None
        if options.steps is not None:
            names = StepsBack(parts.lock.driver, parts.settings.schema).unfinished(options.steps)
        return make_way_down(
            parts.sequence, self._survey.state, down_options(options, parts.settings, names=names)
        )

    @property
    def _workspaces(self) -> Mapping[str, Workspace]:
        return self._survey.everyone

    def _try_version(self, version: PlannedVersion, *, may_restart: bool) -> None:
        if version.tasks:
            self._try_segment(version, may_restart=may_restart)
        if not version.instance_steps or self._report.failures or self._parts.stop.requested:
            return
        if self._undoing:
            raise LimitReached
        self._try_instance(version.instance_steps)
