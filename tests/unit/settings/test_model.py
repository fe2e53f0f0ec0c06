"""The settings as a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from upgrader.settings import MissingPolicy, Settings, TableName, UnenrolledPolicy, WorkspaceSettings
from upgrader.version import ApplicationVersion, ReleaseVersion


def test_the_defaults() -> None:
    """Nothing given means what the documentation shows."""
    settings = Settings()
    assert settings.database_url is None
    assert settings.commands == (Path("commands"),)
    assert settings.application_version is None
    assert settings.history_schema == "upgrader"
    assert settings.missing is MissingPolicy.REFUSE
    assert settings.unenrolled_workspaces is UnenrolledPolicy.REFUSE
    assert (settings.lock_timeout_seconds, settings.lock_tries) == (2.0, 10)
    assert (settings.lock_retry_initial_seconds, settings.lock_retry_max_seconds) == (0.5, 30.0)
    assert (settings.dry_run_lock_seconds, settings.connect_timeout_seconds) == (2.0, 10)
    assert settings.workspaces == WorkspaceSettings()
    assert settings.workspaces.table == TableName("core", "workspace")
    assert settings.workspaces.statuses == ("ACTIVE", "SUSPENDED")


def test_settings_cannot_be_changed() -> None:
    """They are frozen, groups too."""
    with pytest.raises(ValidationError):
        Settings().lock_tries = 3
    with pytest.raises(ValidationError):
        Settings().workspaces.provider = "a:b"


def test_versions_are_read() -> None:
    """An application's version may be a development one, the oldest supported is a release."""
    settings = Settings(app_version="1.22.0.dev5+g1a2b3c4", oldest_supported="1.21.0")
    assert settings.application_version == ApplicationVersion.parse("1.22.0.dev5+g1a2b3c4")
    assert settings.oldest_supported == ReleaseVersion.parse("1.21.0")


@pytest.mark.parametrize(
    "name", ["", " ", "pg_x", "public", "information_schema", "é" * 32, "a\x00", "\ud800"]
)
def test_the_history_takes_no_reserved_schema(name: str) -> None:
    """A schema that is reserved, shared or impossible is refused."""
    with pytest.raises(ValidationError):
        Settings(history_schema=name)


def test_the_schema_goes_by_both_names() -> None:
    """`schema` in files, `history_schema` in Python."""
    assert Settings(schema="a") == Settings(history_schema="a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lock_timeout_seconds", 0),
        ("lock_timeout_seconds", 0.0001),
        ("lock_timeout_seconds", float("inf")),
        ("lock_timeout_seconds", float("nan")),
        ("lock_timeout_seconds", True),
        ("lock_tries", 0),
        ("lock_tries", True),
        ("lock_tries", 1.5),
        ("lock_retry_max_seconds", 0.1),
        ("connect_timeout_seconds", 0),
        ("missing", "maybe"),
        ("commands", []),
        ("commands", [""]),
        ("database_url", "mysql://h/d"),
        ("app_version", "1.2"),
        ("oldest_supported", "1.2.0.dev1"),
        ("workspaces", {"statuses": []}),
        ("workspaces", {"id_column": ""}),
        ("workspaces", {"provider": "a.b"}),
        ("workspaces", {"table": "a.b.c"}),
        ("unheard_of", 1),
    ],
)
def test_values_out_of_bounds_are_refused(key: str, value: object) -> None:
    """What cannot work is told before anything runs."""
    with pytest.raises(ValidationError):
        Settings(**{key: value})


def test_an_empty_column_name_means_that_there_is_none() -> None:
    """A file has no null, an empty text stands for it."""
    workspaces = WorkspaceSettings(status_column="", schema_column="", name_column=None)
    assert (workspaces.status_column, workspaces.schema_column, workspaces.name_column) == (None, None, None)


def test_a_table_that_was_given_is_told_from_the_default() -> None:
    """Also where both are the same."""
    assert "table" not in Settings().workspaces.model_fields_set
    assert "table" in Settings(workspaces={"table": "core.workspace"}).workspaces.model_fields_set


def test_a_table_and_a_provider_exclude_each_other() -> None:
    """A provider alone is fine."""
    assert WorkspaceSettings(provider="a.b:c").provider == "a.b:c"
    with pytest.raises(ValidationError):
        WorkspaceSettings(provider="a.b:c", table="core.workspace")


def test_secrets_are_known_and_not_shown() -> None:
    """The URL's password and those added are secrets; no repr and no error has them."""
    settings = Settings(database_url="postgresql://u:s3%20cret@h/d").with_secrets("0ther", "")
    assert settings.secrets == ("s3%20cret", "s3 cret", "0ther")
    assert "s3" not in repr(settings)
    assert "0ther" not in repr(settings)
    with pytest.raises(ValidationError) as caught:
        Settings(database_url="mysql://u:s3cret@h/d")
    assert "s3cret" not in str(caught.value)
