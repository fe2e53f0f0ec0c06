"""Which release a new command belongs to, and whether that one is out already."""

from pathlib import Path

import pytest

from upgrader.cli.new_command import command_directory, release_of, released_warnings
from upgrader.errors import InvalidVersionError, OperatorError
from upgrader.generate import scaffold_command
from upgrader.settings import Settings
from upgrader.version import ReleaseVersion


def warnings(version: str, settings: Settings, directory: Path, *, is_slow: bool = False) -> list[str]:
    return list(released_warnings(ReleaseVersion.parse(version), settings, directory, is_slow=is_slow))


def test_the_release_is_the_applications_by_default() -> None:
    assert str(release_of(None, Settings(app_version="1.22.0.dev5+g1"))) == "1.22.0"
    assert str(release_of("1.23.0", Settings())) == "1.23.0"


def test_without_any_version_it_is_asked_for() -> None:
    with pytest.raises(OperatorError, match="no version is given"):
        release_of(None, Settings())
    with pytest.raises(InvalidVersionError):
        release_of("1.23", Settings())


def test_a_release_below_the_application_is_out_already(tmp_path: Path) -> None:
    settings = Settings(app_version="1.22.0")
    assert warnings("1.22.0", settings, tmp_path) == []
    assert warnings("1.23.0", settings, tmp_path) == []
    (told,) = warnings("1.21.0", settings, tmp_path)
    assert told.startswith("1.21.0 is released already, the application is 1.22.0")
    assert "--include-missing" in told
    assert "--include-missing" not in warnings("1.21.0", settings, tmp_path, is_slow=True)[0]


def test_a_release_below_the_highest_command_is_suspect(tmp_path: Path) -> None:
    scaffold_command(name="a", type="fast", version=ReleaseVersion.parse("1.22.0"), directory=tmp_path)
    assert warnings("1.22.0", Settings(), tmp_path) == []
    assert "comes before 1.22.0" in warnings("1.21.0", Settings(), tmp_path)[0]
    assert warnings("1.21.0", Settings(app_version="1.21.0"), tmp_path) == []  # 1.22.0 is dormant


def test_commands_are_written_to_the_first_directory() -> None:
    assert command_directory(Settings(commands=("app.commands", Path("/a"), Path("/b")))) == Path("/a")
    with pytest.raises(OperatorError, match=r"packages only: app\.commands"):
        command_directory(Settings(commands=("app.commands",)))
