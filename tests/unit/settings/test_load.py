"""Settings from flags, environment and file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from upgrader.errors import SettingsError
from upgrader.model import Severity
from upgrader.settings import (
    CommandLine,
    LoadedSettings,
    MissingPolicy,
    Settings,
    TableName,
    load_from_process,
    load_settings,
    require_database_url,
)


def load(directory: Path, environment: dict[str, str] | None = None, **flags: object) -> LoadedSettings:
    """Load with flags as keywords."""
    return load_settings(
        directory=directory,
        environment=environment or {},
        overrides=CommandLine(**flags),  # type: ignore[arg-type]  # by name
    )


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(directory: Path, environment: dict[str, str] | None = None, **flags: object) -> str:
    """Load what is wrong and give message and hint."""
    with pytest.raises(SettingsError) as caught:
        load(directory, environment, **flags)
    assert caught.value.hint
    return f"{caught.value.message}\n{caught.value.hint}"


def test_nothing_anywhere_gives_the_defaults(tmp_path: Path) -> None:
    """Without file, variables and flags only the directory of the commands is known."""
    loaded = load(tmp_path)
    assert loaded.settings == Settings(commands=(tmp_path / "commands",))
    assert (loaded.warnings, loaded.config_file, loaded.directory) == ((), None, tmp_path)


@pytest.mark.parametrize(("name", "header"), [("upgrader.toml", ""), ("pyproject.toml", "[tool.upgrader]\n")])
def test_either_file_is_read(tmp_path: Path, name: str, header: str) -> None:
    """Keys stand at the top of `upgrader.toml`, under `[tool.upgrader]` in `pyproject.toml`."""
    file = write(
        tmp_path / name, header + 'schema = "hist"\nworkspaces = { table = "a.b", statuses = ["ON"] }\n'
    )
    loaded = load(tmp_path)
    assert loaded.config_file == file
    assert loaded.settings.history_schema == "hist"
    assert loaded.settings.workspaces.table == TableName("a", "b")
    assert loaded.settings.workspaces.statuses == ("ON",)
    assert loaded.settings.workspaces.model_fields_set == {"table", "statuses"}


def test_a_project_file_without_settings_is_none(tmp_path: Path) -> None:
    """A `pyproject.toml` that is about other things does not count."""
    write(tmp_path / "pyproject.toml", "[tool.ruff]\n")
    write(tmp_path / "upgrader.toml", 'schema = "hist"\n')
    assert load(tmp_path).settings.history_schema == "hist"


def test_both_files_are_refused(tmp_path: Path) -> None:
    """Nobody has to guess which one counts."""
    write(tmp_path / "pyproject.toml", "[tool.upgrader]\n")
    write(tmp_path / "upgrader.toml", "")
    assert "upgrader.toml and under [tool.upgrader] in pyproject.toml" in refusal(tmp_path)


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    """Key by key, also inside a group."""
    write(
        tmp_path / "upgrader.toml",
        'app_version = "1.0.0"\nschema = "file"\nlock_tries = 3\n'
        '[workspaces]\ntable = "file.t"\nid_column = "file_id"\n',
    )
    environment = {
        "UPGRADER_APP_VERSION": "2.0.0",
        "UPGRADER_SCHEMA": "environment",
        "UPGRADER_WORKSPACES__TABLE": "environment.t",
    }
    settings = load(tmp_path, environment, app_version="3.0.0").settings
    assert (settings.app_version, settings.history_schema, settings.lock_tries) == ("3.0.0", "environment", 3)
    assert settings.workspaces.table == TableName("environment", "t")
    assert settings.workspaces.id_column == "file_id"


def test_what_is_overridden_need_not_be_right(tmp_path: Path) -> None:
    """Only the value that counts is checked."""
    write(tmp_path / "upgrader.toml", 'app_version = "one"\n')
    assert load(tmp_path, app_version="3.0.0").settings.app_version == "3.0.0"


@pytest.mark.parametrize(
    ("environment", "flag", "expected"),
    [
        ({}, None, "postgresql://file/d"),
        ({"DATABASE_URL": "postgresql://common/d"}, None, "postgresql://common/d"),
        ({"DATABASE_URL": " "}, None, "postgresql://file/d"),
        (
            {"DATABASE_URL": "mysql://common/d", "UPGRADER_DATABASE_URL": "postgresql://own/d"},
            None,
            "postgresql://own/d",
        ),
        ({"UPGRADER_DATABASE_URL": "postgresql://own/d"}, "postgresql://flag/d", "postgresql://flag/d"),
    ],
)
def test_whose_url_counts(
    tmp_path: Path, environment: dict[str, str], flag: str | None, expected: str
) -> None:
    """`DATABASE_URL` is below `UPGRADER_DATABASE_URL` and above the file; empty is not set."""
    write(tmp_path / "upgrader.toml", 'database_url = "postgresql://file/d"\n')
    assert load(tmp_path, environment, database_url=flag).settings.database_url == expected


def test_every_type_can_come_from_the_environment(tmp_path: Path) -> None:
    """Numbers, lists in both forms, choices, and `""` for a column that is not there."""
    settings = load(
        tmp_path,
        {
            "UPGRADER_LOCK_TRIES": "7",
            "UPGRADER_LOCK_TIMEOUT_SECONDS": "1.5",
            "UPGRADER_COMMANDS": "a.b, ./c ,",
            "UPGRADER_WORKSPACES__STATUSES": '["A,B", "C"]',
            "UPGRADER_MISSING": "run",
            "UPGRADER_WORKSPACES__STATUS_COLUMN": '""',
        },
    ).settings
    assert (settings.lock_tries, settings.lock_timeout_seconds) == (7, 1.5)
    assert settings.commands == ("a.b", tmp_path / "c")
    assert settings.workspaces.statuses == ("A,B", "C")
    assert settings.missing is MissingPolicy.RUN
    assert settings.workspaces.status_column is None


def test_a_variable_without_effect_is_a_warning(tmp_path: Path) -> None:
    """It is named with the nearest known one; completion and foreign variables are not ours."""
    loaded = load(
        tmp_path,
        {
            "UPGRADER_LOCK_TRYS": "s3cret",
            "UPGRADER_WORKSPACES": "{}",
            "UPGRADER_WORKSPACES_TABLE": "x",
            "UPGRADER_WORKSPACES__STATUS_COLUMN": "",
            "UPGRADER_ZZZZ": "1",
            "_UPGRADER_COMPLETE": "bash",
            "PATH": "/bin",
        },
    )
    assert loaded.warnings == (
        "unknown variable UPGRADER_LOCK_TRYS is left out: did you mean UPGRADER_LOCK_TRIES?",
        "unknown variable UPGRADER_WORKSPACES is left out: its keys are set one by one, "
        "for example UPGRADER_WORKSPACES__TABLE",
        "unknown variable UPGRADER_WORKSPACES_TABLE is left out: did you mean UPGRADER_WORKSPACES__TABLE?",
        "UPGRADER_WORKSPACES__STATUS_COLUMN is empty and left out; "
        "for 'there is no such column' set it to two quotes: '\"\"'",
        "unknown variable UPGRADER_ZZZZ is left out",
    )
    assert loaded.settings.workspaces.status_column == "activation_status"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("databse_url = 'x'", "unknown key `databse_url` in upgrader.toml: did you mean `database_url`?"),
        ("lock-tries = 1", "did you mean `lock_tries`?"),
        ("history_schema = 'x'", "did you mean `schema`?"),
        ("table = 'x'", "did you mean `workspaces.table`?"),
        ("[workspace]\ntable = 'x'", "unknown key `workspace` in upgrader.toml: did you mean `workspaces`?"),
        (
            "[workspaces]\ntabel = 'x'",
            "`workspaces.tabel` in upgrader.toml: did you mean `workspaces.table`?",
        ),
        ("zzzz = 1", "unknown key `zzzz` in upgrader.toml\n"),
        (
            "[tool.upgrader]\nschema = 'x'",
            "stand under [tool.upgrader] in upgrader.toml: there they belong at the top",
        ),
        ("[upgrader]\nschema = 'x'", "stand under [upgrader] in upgrader.toml"),
        ("workspaces = 3", "`workspaces` in upgrader.toml is 3, expected a table: [workspaces]"),
        ("lock_tries = 'x'", "`lock_tries` in upgrader.toml is 'x', expected a whole number"),
        ("lock_tries = 0", "`lock_tries` in upgrader.toml is 0, expected at least 1"),
        ("app_version = 1.2", "`app_version` in upgrader.toml is 1.2, expected a text in quotes"),
        ("app_version = '1.2'", "`app_version` in upgrader.toml: '1.2' is not of the form MAJOR.MINOR.PATCH"),
        ("commands = 'a'", "`commands` in upgrader.toml is 'a', expected a list"),
        ("commands = [3]", "`commands` in upgrader.toml is 3, expected a text in quotes"),
        ("missing = 'x'", "`missing` in upgrader.toml is 'x', expected 'refuse' or 'run'"),
        ("database_url = 3", "`database_url` in upgrader.toml: expected a text in quotes"),
        (
            "lock_retry_max_seconds = 0.1",
            "`lock_retry_max_seconds` in upgrader.toml: the first pause is longer",
        ),
        ("\n\nschema =", "upgrader.toml:3: this is not TOML"),
        ("schema = 'x'\nschema = 'y'", "upgrader.toml:2: this is not TOML"),
        ('schema = """', "upgrader.toml:1: this is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path: Path, text: str, expected: str) -> None:
    """Key, place, what was given and what was expected."""
    write(tmp_path / "upgrader.toml", text)
    assert expected in refusal(tmp_path)


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    """From file, environment and flags, each with its source."""
    write(tmp_path / "upgrader.toml", "lock_tries = 0\nzzzz = 1\n[workspaces]\nprovider = 'a:b'\n")
    environment = {"UPGRADER_CONNECT_TIMEOUT_SECONDS": "soon", "UPGRADER_WORKSPACES__TABLE": "a.b"}
    message = refusal(tmp_path, environment, app_version="one")
    for part in (
        "5 problems in the settings\n",
        "  unknown key `zzzz` in upgrader.toml\n",
        "  `lock_tries` in upgrader.toml is 0, expected at least 1\n",
        "  `connect_timeout_seconds` from UPGRADER_CONNECT_TIMEOUT_SECONDS is 'soon', expected a whole",
        "  `app_version` from --app-version: 'one' is not a version\n",
        "  `workspaces.table` from UPGRADER_WORKSPACES__TABLE and `workspaces.provider` in upgrader.toml: ",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"schema = '\xff'", "upgrader.toml is not UTF-8: byte 11 is 0xff"),
        (None, "upgrader.toml cannot be read"),
    ],
    ids=["latin-1", "directory"],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """Neither is taken for an empty one."""
    if content is None:
        (tmp_path / "upgrader.toml").mkdir()
    else:
        (tmp_path / "upgrader.toml").write_bytes(content)
    assert expected in refusal(tmp_path)


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    """A dangling link was meant to be a file."""
    (tmp_path / "upgrader.toml").symlink_to("gone.toml")
    assert "upgrader.toml is a link to nothing" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_told(tmp_path: Path) -> None:
    """No permission is not the same as no file."""
    write(tmp_path / "upgrader.toml", "").chmod(0)
    assert "upgrader.toml cannot be read: Permission denied" in refusal(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Windows editors write one."""
    (tmp_path / "upgrader.toml").write_bytes(b"\xef\xbb\xbfschema = 'x'\n")
    assert load(tmp_path).settings.history_schema == "x"


@pytest.mark.parametrize(
    ("name", "header"), [("other.toml", ""), ("sub/pyproject.toml", "[tool.upgrader]\n")]
)
def test_a_named_file_is_the_only_one_read(tmp_path: Path, name: str, header: str) -> None:
    """`--config` looks at nothing else, not even at a broken `upgrader.toml`."""
    write(tmp_path / "upgrader.toml", "broken")
    file = write(tmp_path / name, header + "schema = 'other'\n")
    for given in (Path(name), file):
        loaded = load_settings(directory=tmp_path, environment={}, config_file=given)
        assert loaded.settings.history_schema == "other"
        assert loaded.config_file == file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gone.toml", "there is no file gone.toml"),
        ("pyproject.toml", "pyproject.toml has no [tool.upgrader]"),
    ],
)
def test_a_named_file_must_be_there(tmp_path: Path, name: str, expected: str) -> None:
    """A file that was asked for is never left out."""
    write(tmp_path / "pyproject.toml", "[tool.ruff]\n")
    with pytest.raises(SettingsError, match=expected.replace("[", r"\[")):
        load_settings(directory=tmp_path, environment={}, config_file=Path(name))


def test_paths_are_relative_to_where_they_were_given(tmp_path: Path) -> None:
    """To the file that sets them; from the environment and flags to the working directory."""
    work = tmp_path / "work"
    work.mkdir()
    file = write(tmp_path / "etc" / "x.toml", 'database_url = "embedded:pg"\ncommands = ["../a", "./b"]\n')
    from_file = load_settings(directory=work, environment={}, config_file=file).settings
    assert from_file.database_url == f"embedded:{tmp_path}/etc/pg"
    assert from_file.commands == (tmp_path / "a", tmp_path / "etc" / "b")
    given = load_settings(
        directory=work,
        environment={"UPGRADER_DATABASE_URL": "embedded:pg"},
        overrides=CommandLine(commands=("x/y", str(tmp_path))),
        config_file=file,
    ).settings
    assert given.database_url == f"embedded:{work}/pg"
    assert given.commands == (work / "x" / "y", tmp_path)


def test_a_directory_is_told_from_a_package(tmp_path: Path) -> None:
    """A dotted name is a package, unless a directory of that name is there."""
    (tmp_path / "here").mkdir()
    write(
        tmp_path / "upgrader.toml", 'commands = ["here", "gone", "pkg.commands", ".hidden", "a-b", "gone/"]\n'
    )
    assert load(tmp_path).settings.commands == (
        tmp_path / "here",
        "gone",
        "pkg.commands",
        tmp_path / ".hidden",
        tmp_path / "a-b",
        tmp_path / "gone",
    )


def test_passwords_are_collected_and_never_told(tmp_path: Path) -> None:
    """Of every URL that was met, also of one that does not count, and PGPASSWORD."""
    write(
        tmp_path / "upgrader.toml",
        'database_url = "postgresql://u:in-file@h/d"\napp_version = "in-process"\n',
    )
    environment = {"DATABASE_URL": "postgresql://u:in-common@h/d", "PGPASSWORD": "in-process"}
    message = refusal(tmp_path, environment)
    assert "`app_version` in upgrader.toml: '***' is not a version" in message
    settings = load(tmp_path, environment, app_version="1.0.0").settings
    assert set(settings.secrets) == {"in-file", "in-common", "in-process"}


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/d", "s3cret", "host=h password='s3cret", "s3cret://h"])
def test_a_wrong_url_is_not_shown(tmp_path: Path, url: str) -> None:
    """Its source is named instead."""
    message = refusal(tmp_path, {"DATABASE_URL": url})
    assert "`database_url` from DATABASE_URL: " in message
    assert "s3cret@" not in message
    assert "'s3cret" not in message


def test_no_url_shows_how_to_give_one() -> None:
    """Flag, variable, file and the embedded server are named."""
    with pytest.raises(SettingsError, match="no database is given") as caught:
        require_database_url(Settings())
    assert caught.value.hint is not None
    for part in ("--database-url postgresql://", "UPGRADER_DATABASE_URL=", 'database_url = "', "embedded:"):
        assert part in caught.value.hint


def test_a_url_that_is_there_is_given() -> None:
    """As it was set."""
    assert require_database_url(Settings(database_url="postgresql://h/d")) == "postgresql://h/d"


def test_the_process_is_read_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment and its working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPGRADER_SCHEMA", "from_process")
    loaded = load_from_process(CommandLine(app_version="1.0.0"))
    assert loaded.directory == tmp_path
    assert loaded.settings.history_schema == "from_process"
    assert loaded.settings.app_version == "1.0.0"


def test_the_rules_of_the_gate_in_a_file(tmp_path: Path) -> None:
    """A table of the operator's own keys stands beside plain keys."""
    write(
        tmp_path / "upgrader.toml",
        'released_version = "1.22.0"\n[check]\nignore = ["round-trip"]\n[check.severity]\nschema-drift = "info"\n',
    )
    settings = load(tmp_path).settings
    assert settings.check.ignore == ("round-trip",)
    assert dict(settings.check.severity) == {"schema-drift": Severity.INFO}
    assert str(settings.released_version) == "1.22.0"


def test_the_rules_of_the_gate_in_the_environment(tmp_path: Path) -> None:
    """The table is a JSON object there."""
    environment = {"UPGRADER_CHECK__SEVERITY": '{"round-trip": "warning"}', "UPGRADER_CHECK__SELECT": "a,b-c"}
    settings = load(tmp_path, environment).settings
    assert dict(settings.check.severity) == {"round-trip": Severity.WARNING}
    assert settings.check.select == ("a", "b-c")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("round-trip=info", ("`check.severity` from UPGRADER_CHECK__SEVERITY", "a JSON object")),
        ('{"round-trip": "awful"}', ("`check.severity`", "'awful'", "'error', 'warning' or 'info'")),
        ('{"Round Trip": "info"}', ("`check.severity`", "words joined by hyphens")),
        ('["round-trip"]', ("`check.severity`", "a table")),
    ],
)
def test_a_wrong_table_of_severities(tmp_path: Path, value: str, words: tuple[str, ...]) -> None:
    """It is said what was expected, and where the value came from."""
    told = refusal(tmp_path, {"UPGRADER_CHECK__SEVERITY": value})
    for word in words:
        assert word in told


@pytest.mark.parametrize(("name", "header"), [("upgrader.toml", ""), ("pyproject.toml", "tool.upgrader.")])
def test_options_of_the_worker_are_read_from_either_file(tmp_path: Path, name: str, header: str) -> None:
    """Under `[worker]` in `upgrader.toml`, `[tool.upgrader.worker]` in `pyproject.toml`; the defaults of jobs below."""
    write(
        tmp_path / name,
        f"""
        [{header}worker]
        modules = ["jobs"]
        queues = ["mail"]
        scheduler_enabled = false
        queue_enabled = false
        default_queue = "ours"
        timezone = "Asia/Tokyo"
        log_registered_jobs = false
        [{header}worker.job_defaults]
        retries = 3
        retry_delay_seconds = 7
        """,
    )
    worker = load(tmp_path).settings.worker
    assert (worker.queues, worker.scheduler_enabled, worker.queue_enabled) == (("mail",), False, False)
    assert [Path(one).name for one in worker.modules] == ["jobs"]
    assert (worker.default_queue, worker.timezone, worker.log_registered_jobs) == (
        "ours",
        "Asia/Tokyo",
        False,
    )
    assert (worker.job_defaults.retries, worker.job_defaults.retry_delay_seconds) == (3, 7.0)
