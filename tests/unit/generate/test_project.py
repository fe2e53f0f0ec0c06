from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from upgrader.errors import OperatorError
from upgrader.generate import init_project, scaffold_command
from upgrader.registry import load
from upgrader.version import ReleaseVersion


def test_a_new_project(tmp_path: Path):
    """An empty directory gets a configuration and a directory of commands, ready for the first one."""
    made = init_project(tmp_path / "new")
    toml, readme = tmp_path / "new" / "upgrader.toml", tmp_path / "new" / "commands" / "README.md"
    assert made.written == (toml, readme)
    assert made.left_alone == ()
    settings = tomllib.loads(toml.read_text(encoding="utf-8"))
    assert settings == {"commands": ["commands"]}
    assert load(settings["commands"], base=toml.parent).is_empty
    scaffold_command(
        name="first", type="fast", version=ReleaseVersion.parse("1.0.0"), directory=readme.parent
    )
    assert len(load(settings["commands"], base=toml.parent).sequence) == 1


def test_the_commented_lines_are_settings(tmp_path: Path):
    """Taking the comment signs away leaves valid TOML with every key."""
    init_project(tmp_path)
    text = (tmp_path / "upgrader.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", text))
    assert set(settings) == {
        "database_url",
        "commands",
        "app_version",
        "oldest_supported",
        "released_version",
        "released_at",
        "schema",
        "missing",
        "unenrolled_workspaces",
        "workspaces",
        "check",
    }
    assert settings["workspaces"]["table"] == "core.workspace"


def test_a_second_time(tmp_path: Path):
    """What is there is left alone, and said."""
    init_project(tmp_path)
    (tmp_path / "upgrader.toml").write_text("# mine\n")
    again = init_project(tmp_path)
    assert again.written == ()
    assert again.left_alone == (tmp_path / "upgrader.toml", tmp_path / "commands")
    assert (tmp_path / "upgrader.toml").read_text() == "# mine\n"


def test_a_pyproject_that_configures(tmp_path: Path):
    """No second configuration is written beside `[tool.upgrader]`; the commands still are."""
    (tmp_path / "pyproject.toml").write_text('[tool.upgrader]\ncommands = ["commands"]\n')
    made = init_project(tmp_path)
    assert made.left_alone == (tmp_path / "pyproject.toml",)
    assert made.written == (tmp_path / "commands" / "README.md",)
    assert not (tmp_path / "upgrader.toml").exists()


def test_a_pyproject_that_does_not(tmp_path: Path):
    """A `pyproject.toml` of other things is no configuration of ours, and is not touched."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert tmp_path / "upgrader.toml" in init_project(tmp_path).written
    assert (tmp_path / "pyproject.toml").read_text() == '[project]\nname = "x"\n'


def test_a_pyproject_that_cannot_be_read(tmp_path: Path):
    """Where it cannot be told whether there is a configuration, nothing is written."""
    (tmp_path / "pyproject.toml").write_text("[tool.upgrader\n")
    with pytest.raises(OperatorError) as caught:
        init_project(tmp_path)
    assert "pyproject.toml cannot be read" in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_commands_that_are_there(tmp_path: Path):
    """Nothing is put into a directory of commands that is there already."""
    (tmp_path / "commands").mkdir()
    made = init_project(tmp_path)
    assert made.left_alone == (tmp_path / "commands",)
    assert list((tmp_path / "commands").iterdir()) == []


def test_a_link_that_leads_nowhere(tmp_path: Path):
    """A configuration that is a dead link is there, and is not written through."""
    (tmp_path / "upgrader.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert tmp_path / "upgrader.toml" in init_project(tmp_path).left_alone
    assert not (tmp_path / "elsewhere.toml").exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path):
    """A file in the way is the operator's matter."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError):
        init_project(tmp_path / "file")
