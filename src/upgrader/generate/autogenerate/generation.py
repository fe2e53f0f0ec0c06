"""What `upgrader generate --autogenerate` does: settings and a database in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData

from upgrader.database.session import CommandSession
from upgrader.errors import OperatorError, SettingsError
from upgrader.generate.autogenerate import require_alembic
from upgrader.metadata import load_metadata
from upgrader.model import Step
from upgrader.sequence.plan import Plan
from upgrader.settings import Settings
from upgrader.version import ReleaseVersion
from upgrader.workspaces import WorkspaceSource

_HEADS = 'metadata = "myapp.models:Base.metadata"', 'workspace_metadata = "myapp.models:TenantBase.metadata"'


@dataclass(frozen=True)
class GeneratedCommands:
    """What was written.

    Attributes:
        paths: the files in the order in which their commands run; none where nothing is different.
        warnings: what the author has to know.
    """

    paths: tuple[Path, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Models:
    """The application's tables, as the settings name them."""

    instance: tuple[MetaData, ...]
    workspace: tuple[MetaData, ...]


def load_models(settings: Settings, *, of_workspace: bool) -> Models:
    """Import the metadata that is compared; nothing is connected to.

    Raises:
        OperatorError: Alembic is not installed.
        SettingsError: no metadata is named, or it cannot be imported.
    """
    require_alembic()
    if not (settings.workspace_metadata if of_workspace else settings.metadata):
        key, example = ("workspace_metadata", _HEADS[1]) if of_workspace else ("metadata", _HEADS[0])
        raise SettingsError(
            f"the settings name no {key}: there is nothing to compare the database with",
            hint=f"add the SQLAlchemy MetaData of your tables to the settings: {example}",
        )
    return Models(load_metadata(settings.metadata), load_metadata(settings.workspace_metadata))


def refuse_pending(plan: Plan, *, of_workspace: bool) -> None:
    """Refuse to compare with a database that is behind: what is pending would be written a second time.

    Raises:
        OperatorError: something is pending.
    """
    steps: list[Step] = [step for version in plan.versions for step in version.instance_steps]
    if of_workspace:
        steps += [step for version in plan.versions for task in version.tasks for step in task.steps]
    names = list(dict.fromkeys(step.name for step in steps))
    if not names and plan.stop is None:
        return
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    what = f"{names[0]}{more}" if names else "what comes before a barrier"
    raise OperatorError(
        f"the database is behind the commands: {what} did not run yet and would be written once more",
        hint="run them first: upgrader upgrade --include-slow (with --app-version for those of a later release)",
    )


def generate_commands(
    session: CommandSession,
    source: WorkspaceSource,
    settings: Settings,
    models: Models,
    *,
    name: str,
    version: ReleaseVersion,
    directory: Path,
    workspace_schema: str | None,
) -> GeneratedCommands:
    """Compare in a transaction that is rolled back, and write what is missing.

    Raises:
        OperatorError: there is no such schema, the metadata cannot be compared, or a file cannot be written.
    """
    from upgrader.generate.autogenerate.proposal import propose_for_instance, propose_for_workspace
    from upgrader.generate.autogenerate.write import write_drafts

    schemas = _workspace_schemas(session, source)
    transaction = session.begin(settings={"lock_timeout": "'2s'"})
    try:
        if workspace_schema is None:
            proposal = propose_for_instance(
                transaction.connection,
                models.instance,
                workspace_metadata=models.workspace,
                left_out_schemas=[settings.history_schema, *schemas],
                exclude=settings.autogenerate_exclude,
            )
        else:
            proposal = propose_for_workspace(
                transaction.connection,
                models.workspace,
                instance_metadata=models.instance,
                schema=workspace_schema,
                search_path_extra=settings.workspaces.search_path_extra,
                exclude=settings.autogenerate_exclude,
            )
    finally:
        transaction.rollback()
    paths = write_drafts(proposal.drafts, name=name, version=version, directory=directory)
    return GeneratedCommands(paths, proposal.warnings)


def _workspace_schemas(session: CommandSession, source: WorkspaceSource) -> Sequence[str]:
    listing = source.listing(session)
    return [one.schema for one in (*listing.in_scope, *listing.out_of_scope) if one.schema]
