"""The verbs that write marks and run nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from upgrader.errors import OperatorError
from upgrader.runner.enrolling import MarkReport, enrol_by_hand, write_baseline
from upgrader.runner.forgetting import forget_by_hand
from upgrader.runner.setting_aside import SettingAside, bring_back, set_aside
from upgrader.survey import take_survey
from upgrader.version import ReleaseVersion

if TYPE_CHECKING:
    pass


from upgrader.api.foundation import Foundation


class Marking(Foundation):
    """Writes where workspaces are, sets them aside, forgets them."""

    def baseline(
        self,
        version: ReleaseVersion,
        *,
        workspace_ids: Sequence[str] = (),
        wait_lock_seconds: float = 0.0,
    ) -> MarkReport:
        """Mark the database as being at `version`: every step at or below it counts as done.

        Args:
            workspace_ids: mark only these workspaces; by default the instance and every one.

        Raises:
            OperatorError: `version` is above `app_version`, or history says something else.
            LockHeldError: another run is at work.
        """
        knows_version = self.settings.app_version is not None or not self.registry.is_empty
        if knows_version and not self.app_version.covers(version):
            raise OperatorError(
                f"{version} is above app_version {self.app_version}",
                hint="give a version that the application has, or set app_version",
            )
        with self._access.run(wait_lock_seconds, only_marks=True) as run:
            self._bring_up_to_date(run)
            survey = take_survey(session=run.session, store=run.store, source=self._access.source)
            return write_baseline(
                version,
                survey=survey,
                store=run.store,
                executed_by=self.app_version.text,
                workspace_ids=workspace_ids,
            )

    def enroll(
        self, workspace_ids: Sequence[str], *, at: str = "current", wait_lock_seconds: float = 0.0
    ) -> MarkReport:
        """Enrol workspaces by hand.

        Args:
            workspace_ids: ids that are in the workspace table.
            at: `start`, `current` (where the instance stands), or a version.

        Raises:
            UnknownWorkspaceError: an id is not there; nothing is enrolled then.
            OperatorError: a workspace is enrolled at another version already.
            LockHeldError: another run is at work.
        """
        sequence = self.registry.sequence.covered_by(self.app_version)
        with self._access.run(wait_lock_seconds, only_marks=True) as run:
            self._bring_up_to_date(run)
            survey = take_survey(session=run.session, store=run.store, source=self._access.source)
            return enrol_by_hand(
                workspace_ids,
                at,
                survey=survey,
                sequence=sequence,
                driver=run.control.driver,
                schema=self.settings.history_schema,
            )

    def quarantine(self, workspace_ids: Sequence[str], *, reason: str) -> SettingAside:
        """Set workspaces aside: nothing runs on them, no barrier waits for them, every report names them.

        Needs no run lock: a run that is at work leaves them alone from its next look at the database on.

        Raises:
            UnknownWorkspaceError: an id is not there; nothing is changed then.
            OperatorError: the reason is empty.
            LockHeldError: there is no history yet, and a run is about to make it.
        """
        return set_aside(self._access, self.registry.sequence, workspace_ids, reason=reason)

    def release(self, workspace_ids: Sequence[str]) -> SettingAside:
        """Bring workspaces back that were set aside: what they missed runs before anything newer.

        Needs no run lock; excludes itself against a barrier that is being passed.

        Raises:
            OperatorError: a workspace is not set aside; nothing is changed then.
            RefusedError: the loaded commands do not reach down to where a workspace is.
        """
        return bring_back(self._access, self.registry.sequence, workspace_ids)

    def forget(self, workspace_ids: Sequence[str], *, wait_lock_seconds: float = 0.0) -> int:
        """End the history of workspaces that are deleted, so that their ids may be used again.

        Applications call `forget_workspace` instead, in the transaction that deletes the workspace.

        Raises:
            RefusedError: a workspace is still there.
            UnknownWorkspaceError: history knows nothing of an id.
            LockHeldError: another run is at work.
        """
        with self._access.run(wait_lock_seconds, only_marks=True) as run:
            self._bring_up_to_date(run)
            survey = take_survey(session=run.session, store=run.store, source=self._access.source)
            return forget_by_hand(workspace_ids, survey=survey, store=run.store)
