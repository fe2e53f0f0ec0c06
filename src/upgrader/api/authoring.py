"""The verbs for those who write commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.database.failures import translating
from upgrader.runner.database_access import DatabaseAccess
from upgrader.runner.options import UpgradeOptions, plan_options
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.survey import take_survey
from upgrader.version import ApplicationVersion, ReleaseVersion

if TYPE_CHECKING:
    from upgrader.check.options import CheckOptions
    from upgrader.check.report import CheckReport
    from upgrader.generate.autogenerate.generation import GeneratedCommands


from upgrader.api.foundation import Foundation


class Authoring(Foundation):
    """Checks commands, and writes new ones from the models."""

    def check(self, options: CheckOptions) -> CheckReport:
        """Look for everything that can be wrong with the commands; writes nothing to the database.

        Raises:
            OperatorError: a rule is unknown, or a database that is named cannot be used.
        """
        from upgrader.check.gate import Gate  # no other verb needs it

        gate = Gate(
            self.settings,
            options,
            load=lambda: self.registry,
            app_version=lambda: self.app_version,
            access=lambda: self._access,
            emit=self._emit,
            stop=self.stop,
        )
        return gate.check()

    def autogenerate(
        self, *, name: str, version: ReleaseVersion, directory: Path, workspace_schema: str | None = None
    ) -> GeneratedCommands:
        """Compare the metadata of the settings with the database, and write what is missing as commands.

        The database is left as it is. Where nothing is different nothing is written.

        Args:
            workspace_schema: compare this workspace's schema with `workspace_metadata` instead.

        Raises:
            OperatorError: Alembic or the metadata is not there, commands are pending, or nothing can be written.
        """
        from upgrader.generate.autogenerate.generation import generate_commands, load_models, refuse_pending

        of_workspace = workspace_schema is not None
        models = load_models(self.settings, of_workspace=of_workspace)
        access = DatabaseAccess(
            self.settings, app_version=ApplicationVersion.of(version), emit=self._emit, stop=self.stop
        )
        sequence = self.registry.sequence if directory.is_dir() else StepSequence(())
        with translating(), access.reading() as reading:
            survey = take_survey(session=reading.session, store=reading.store, source=access.source)
            options = plan_options(UpgradeOptions(include_slow=True, allow_ahead=True), access.run_settings)
            highest = max((step.version for step in sequence), default=version)
            everything = replace(options, app_version=ApplicationVersion.of(max(highest, version)))
            refuse_pending(make_plan(sequence, survey.state, everything), of_workspace=of_workspace)
            return generate_commands(
                reading.session,
                access.source,
                self.settings,
                models,
                name=name,
                version=version,
                directory=directory,
                workspace_schema=workspace_schema,
            )
