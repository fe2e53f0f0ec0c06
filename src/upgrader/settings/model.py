"""The settings as one frozen value: every key, its default and what it may be.

A new key is one more field; a new group (`[tool.upgrader.worker]`) is one more model and one field of its
type. Files, variables and error messages follow by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from upgrader.model import FailureLimit, Jobs, Order, PreflightCheck, Severity
from upgrader.settings.backfill import BackfillSettings
from upgrader.settings.database_url import check_database_url, passwords_in
from upgrader.settings.group import (
    Count,
    OptionalTimeoutSeconds,
    PauseSeconds,
    SettingsGroup,
    TimeoutSeconds,
    no_boolean,
)
from upgrader.settings.table_name import TableName, check_identifier
from upgrader.settings.worker import WorkerSettings
from upgrader.version import ApplicationVersion, ReleaseVersion


class MissingPolicy(StrEnum):
    """What becomes of steps that should have run earlier."""

    REFUSE = "refuse"
    RUN = "run"


class UnenrolledPolicy(StrEnum):
    """What becomes of active workspaces that nobody enrolled."""

    REFUSE = "refuse"
    APPLY_ALL = "apply-all"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


def _release_version(value: object) -> ReleaseVersion:
    return value if isinstance(value, ReleaseVersion) else ReleaseVersion.parse(_text(value))


def _application_version(value: str) -> str:
    ApplicationVersion.parse(value)
    return value


def _table_name(value: object) -> TableName:
    return value if isinstance(value, TableName) else TableName.parse(_text(value))


def _history_schema(value: str) -> str:
    check_identifier(value)
    if value.startswith("pg_") or value == "information_schema":
        raise ValueError(f"{value!r} is reserved for PostgreSQL's own tables")
    if value == "public":
        raise ValueError("the history has a schema of its own, which may not be 'public'")
    return value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _provider(value: str) -> str:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", value):
        raise ValueError(f"{value!r} is not of the form package.module:name")
    return value


def _rule_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value):
        raise ValueError(f"{value!r} is no rule: rules are named in words joined by hyphens")
    return value


def _checksum(value: str) -> str:
    if not re.fullmatch(r"v[0-9]+:[0-9a-f]{12,64}", value):
        raise ValueError(f"{value!r} is no checksum: write v1: and twelve hexadecimal digits or more")
    return value


def _moment(value: object) -> datetime:
    """Read a time; what is not one is told as text is."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no time: write 2026-11-22T09:30:00Z, or 2026-11-22") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value + timedelta(days=1), time())
    if not isinstance(value, datetime):
        raise ValueError("expected a time: 2026-11-22T09:30:00Z, or 2026-11-22")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _table_pattern(value: str) -> str:
    if value.count(".") != 1 or not all(value.split(".")):
        raise ValueError(f"{value!r} is not of the form schema.table (with * for any text)")
    return value


def _location(value: str | Path) -> str | Path:
    if isinstance(value, str) and not value.strip():
        raise ValueError("an entry is empty: name a directory or a package")
    return value


def _jobs(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("jobs_type", "Input should be a number, or 'auto'")
    return Jobs.parse(str(value)).text


def _max_failures(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("failure_limit_type", "Input should be a number, or a text like '5%'")
    return FailureLimit.parse(str(value)).text


_Identifier = Annotated[str, AfterValidator(check_identifier)]
_OptionalIdentifier = Annotated[_Identifier | None, BeforeValidator(_none_if_empty)]
_Table = Annotated[TableName, PlainValidator(_table_name)]
_Release = Annotated[ReleaseVersion, PlainValidator(_release_version)]
_Location = Annotated[Path | str, AfterValidator(_location)]
_Reference = Annotated[str, AfterValidator(_provider)]
_Checksum = Annotated[str, AfterValidator(_checksum)]
_Rule = Annotated[str, AfterValidator(_rule_name)]
_TablePattern = Annotated[str, AfterValidator(_table_pattern)]


class WorkspaceSettings(SettingsGroup):
    """Where workspaces come from: a table, or a function.

    `model_fields_set` tells what was given and what is a default.

    Attributes:
        table: the workspace table; bare names, not folded or quoted again.
        id_column: the key; column names are taken exactly as written, without folding.
        status_column: None where the table has none: every row is in scope.
        statuses: the statuses that are in scope.
        schema_column: None where workspaces have no schema of their own.
        name_column: None where the table has none.
        search_path_extra: what follows the workspace's own schema in `search_path`.
        provider: `package.module:function` instead of a table.
    """

    table: _Table = TableName("core", "workspace")
    id_column: _Identifier = "id"
    status_column: _OptionalIdentifier = "activation_status"
    statuses: Annotated[tuple[str, ...], Field(min_length=1)] = ("ACTIVE", "SUSPENDED")
    schema_column: _OptionalIdentifier = "database_schema"
    name_column: _OptionalIdentifier = "display_name"
    search_path_extra: tuple[_Identifier, ...] = ("public",)
    provider: Annotated[str, AfterValidator(_provider)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.provider is not None and "table" in self.model_fields_set:
            raise PydanticCustomError(
                "conflict",
                "workspaces come from one of the two, and both are given: take one out",
                {"keys": ("workspaces.table", "workspaces.provider")},
            )
        return self


class CheckSettings(SettingsGroup):
    """What `upgrader check` looks at.

    Attributes:
        select: the rules that run; none given: all.
        ignore: rules that do not run.
        severity: rules that are worse or less bad than they are by default.
        accepted_checksums: of completed commands whose code was changed on purpose; the first twelve digits do.
        base_schema: a file of SQL that is executed in the empty scratch database, before `prepare`: the schema
            that was there before the first command (absolute once loaded).
        prepare: `package.module:function`, called with a connection to the scratch database in a transaction: it
            makes what was there before the first command, sample workspaces too.
        base_version: the release in whose shape the two leave the scratch database; None: before the first.
        drift_exclude: patterns of what is not compared with the models: `core.legacy_*`, with all its parts.
    """

    select: tuple[_Rule, ...] = ()
    ignore: tuple[_Rule, ...] = ()
    severity: Mapping[_Rule, Severity] = Field(default_factory=dict)
    accepted_checksums: tuple[_Checksum, ...] = ()
    base_schema: Path | None = None
    prepare: _Reference | None = None
    base_version: _Release | None = None
    drift_exclude: tuple[str, ...] = ()


class PreflightSettings(SettingsGroup):
    """What is looked at before a run.

    Attributes:
        long_transaction_seconds: a transaction that is open for longer is named.
        ignore: checks that are left out.
    """

    long_transaction_seconds: PauseSeconds = 300.0
    ignore: tuple[PreflightCheck, ...] = ()


class Settings(SettingsGroup):
    """Everything that an operator may set.

    Attributes:
        database_url: a libpq URI, a libpq keyword string, or `embedded:PATH` (absolute once loaded); None
            where none was given. May hold a password: never print it without a `Redactor`.
        commands: a `Path` for a directory (absolute once loaded), a `str` for an importable package.
        app_version: the version of the application, as given; see `application_version`.
        oldest_supported: scopes below it are refused.
        released_version: the newest release that is out: nothing may be added to it or below it.
        released_at: when it came out; a date alone is the end of that day, without a zone it is UTC.
        history_schema: the key `schema`: where the history lives.
        lock_timeout_seconds: how long one statement waits for a lock.
        lock_tries: how often a step is tried in all when it cannot get its locks.
        lock_retry_initial_seconds: the first pause between two tries; it grows up to
        lock_retry_max_seconds: the longest pause.
        jobs: how many workspaces are worked on at a time, each on a connection of its own; see `wanted_jobs`.
        order: in which order workspaces have their turn.
        max_failures: with so many failed workspaces, or more than so large a part of them (`"5%"`), a segment is
            ended early; None: never.
        statement_timeout_seconds: how long one statement of a command may take; 0: as long as it takes.
        idle_in_transaction_session_timeout_seconds: how long a transaction may stand still; 0: for ever.
        concurrent_wait_seconds: how long a statement outside a transaction may wait for other transactions
            while nobody waits behind it; 0: as long as it takes.
        dry_run_lock_seconds: how long a dry run may block readers or writers of a table.
        connect_timeout_seconds: how long one attempt to connect may take; whole seconds, as in libpq.
        metadata: `package.module:attribute` of the application's MetaData, one or more.
        workspace_metadata: the same for the tables of one workspace.
        autogenerate_exclude: tables that are left out of the comparison, as patterns of `schema.table`.
    """

    database_url: Annotated[str, AfterValidator(check_database_url)] | None = Field(default=None, repr=False)
    commands: Annotated[tuple[_Location, ...], Field(min_length=1)] = (Path("commands"),)
    app_version: Annotated[str, AfterValidator(_application_version)] | None = None
    oldest_supported: _Release | None = None
    released_version: _Release | None = None
    released_at: Annotated[datetime, BeforeValidator(_moment)] | None = None
    history_schema: Annotated[str, AfterValidator(_history_schema)] = Field(
        default="upgrader", validation_alias="schema", serialization_alias="schema"
    )
    missing: MissingPolicy = MissingPolicy.REFUSE
    unenrolled_workspaces: UnenrolledPolicy = UnenrolledPolicy.REFUSE
    lock_timeout_seconds: TimeoutSeconds = 2.0
    lock_tries: Count = 10
    lock_retry_initial_seconds: PauseSeconds = 0.5
    lock_retry_max_seconds: PauseSeconds = 30.0
    jobs: Annotated[str, BeforeValidator(_jobs)] = "1"
    order: Order = Order.ID
    max_failures: Annotated[str, BeforeValidator(_max_failures)] | None = None
    statement_timeout_seconds: OptionalTimeoutSeconds = 0.0
    idle_in_transaction_session_timeout_seconds: OptionalTimeoutSeconds = 600.0
    concurrent_wait_seconds: OptionalTimeoutSeconds = 0.0
    dry_run_lock_seconds: TimeoutSeconds = 2.0
    connect_timeout_seconds: Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=86_400)] = 10
    metadata: Annotated[tuple[_Reference, ...], BeforeValidator(_one_or_more)] = ()
    workspace_metadata: Annotated[tuple[_Reference, ...], BeforeValidator(_one_or_more)] = ()
    autogenerate_exclude: Annotated[tuple[_TablePattern, ...], BeforeValidator(_one_or_more)] = ()
    workspaces: WorkspaceSettings = Field(default_factory=WorkspaceSettings)
    check: CheckSettings = Field(default_factory=CheckSettings)
    preflight: PreflightSettings = Field(default_factory=PreflightSettings)
    backfill: BackfillSettings = Field(default_factory=BackfillSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)

    _more_secrets: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _pauses_in_order(self) -> Self:
        if self.lock_retry_initial_seconds > self.lock_retry_max_seconds:
            raise PydanticCustomError(
                "conflict",
                "the first pause is longer than the longest",
                {"keys": ("lock_retry_initial_seconds", "lock_retry_max_seconds")},
            )
        return self

    @model_validator(mode="after")
    def _release_with_its_time(self) -> Self:
        if self.released_at is not None and self.released_version is None:
            raise PydanticCustomError(
                "conflict",
                "it says when a release came out, and not which",
                {"keys": ("released_at", "released_version")},
            )
        return self

    @property
    def application_version(self) -> ApplicationVersion | None:
        """`app_version` as a value to compare; None where none was given."""
        return None if self.app_version is None else ApplicationVersion.parse(self.app_version)

    @property
    def wanted_jobs(self) -> Jobs:
        """`jobs` as a value."""
        return Jobs.parse(self.jobs)

    @property
    def failure_limit(self) -> FailureLimit:
        """`max_failures` as a value; without one it is never reached."""
        return FailureLimit() if self.max_failures is None else FailureLimit.parse(self.max_failures)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What a `Redactor` has to know: the URL's passwords, and others that were met while loading."""
        urls = (self.database_url, self.worker.queue_database_url)
        found = [password for url in urls if url for password in passwords_in(url)]
        found += [self.worker.queue_password] if self.worker.queue_password else []
        return tuple(dict.fromkeys((*found, *self._more_secrets)))

    def with_secrets(self, *values: str) -> Self:
        """Give a copy that knows of more secrets."""
        copy = self.model_copy()
        copy._more_secrets = (*self._more_secrets, *(value for value in values if value))
        return copy
