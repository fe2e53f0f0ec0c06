"""The settings in the runner's terms."""

from __future__ import annotations

from upgrader.database.retry import RetryPolicy
from upgrader.runner.backfill_control import brake_limits, pace
from upgrader.runner.options import RunSettings
from upgrader.settings import MissingPolicy, Settings, UnenrolledPolicy
from upgrader.settings.database_url import EMBEDDED_PREFIX
from upgrader.version import ApplicationVersion
from upgrader.workspaces import ProviderSource, TableSource, WorkspaceSource


def workspace_source(settings: Settings) -> WorkspaceSource:
    """Give where workspaces come from."""
    given = settings.workspaces
    if given.provider is not None:
        return ProviderSource(given.provider, tuple(given.statuses))
    return TableSource(
        table=tuple(part for part in (given.table.schema, given.table.name) if part),
        id_column=given.id_column,
        status_column=given.status_column or "",
        statuses=tuple(given.statuses),
        schema_column=given.schema_column or "",
        name_column=given.name_column or "",
        is_explicit="table" in given.model_fields_set,
    )


def run_settings(settings: Settings, app_version: ApplicationVersion) -> RunSettings:
    """Put the settings into the runner's terms."""
    return RunSettings(
        app_version=app_version,
        schema=settings.history_schema,
        run_missing=settings.missing is MissingPolicy.RUN,
        unenrolled_run_all=settings.unenrolled_workspaces is UnenrolledPolicy.APPLY_ALL,
        oldest_supported=settings.oldest_supported,
        search_path_extra=settings.workspaces.search_path_extra,
        lock_timeout_seconds=settings.lock_timeout_seconds,
        retry=RetryPolicy(
            settings.lock_tries, settings.lock_retry_initial_seconds, settings.lock_retry_max_seconds
        ),
        statement_timeout_seconds=settings.statement_timeout_seconds,
        idle_in_transaction_session_timeout_seconds=settings.idle_in_transaction_session_timeout_seconds,
        concurrent_wait_seconds=settings.concurrent_wait_seconds,
        dry_run_lock_seconds=settings.dry_run_lock_seconds,
        max_failures=settings.failure_limit,
        jobs=settings.wanted_jobs,
        order=settings.order,
        pace=pace(settings.backfill),
        brake=brake_limits(settings.backfill),
        batches_wait_for_disk=settings.backfill.synchronous_commit,
        is_embedded=(settings.database_url or "").startswith(EMBEDDED_PREFIX),
    )
