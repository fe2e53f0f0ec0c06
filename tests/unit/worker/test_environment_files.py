"""`.env` and `.env.local`: which wins, and what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from upgrader.errors import SettingsError
from upgrader.worker.environment_files import read_environment_files


def test_the_latter_wins_and_the_environment_over_both(tmp_path: Path) -> None:
    """Also an empty variable of the environment: it was set."""
    (tmp_path / ".env").write_text("A=1\nB=1\nC=1\nEMPTY=1\n# a comment\nexport E='x y'\nNONE\n")
    (tmp_path / ".env.local").write_text("\ufeffB=2\nC=2\n", encoding="utf-8")
    environment = {"C": "3", "EMPTY": ""}
    assert read_environment_files(tmp_path, environment) == (".env", ".env.local")
    assert environment == {"A": "1", "B": "2", "C": "3", "EMPTY": "", "E": "x y"}


def test_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    """A password may hold what other programs would expand."""
    (tmp_path / ".env").write_text("URL=postgresql://me:a${B}$c@host/db\nB=x\n")
    environment: dict[str, str] = {}
    read_environment_files(tmp_path, environment)
    assert environment["URL"] == "postgresql://me:a${B}$c@host/db"


def test_none_need_be_there(tmp_path: Path) -> None:
    """A directory of that name is somebody's virtual environment."""
    (tmp_path / ".env").mkdir()
    environment: dict[str, str] = {}
    assert read_environment_files(tmp_path, environment) == ()
    assert environment == {}


def test_one_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a worker on the wrong database."""
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
        read_environment_files(tmp_path, {})
    (tmp_path / ".env").write_text('A=1\nthis is hunter2\nUPGRADER_DATABASE_URL="postgresql://\nB=2\n')
    with pytest.raises(SettingsError, match=r"^\.env: lines 2, 3 cannot be read$"):
        read_environment_files(tmp_path, {})
    (tmp_path / ".env").write_text("A=1\n")
    monkeypatch.setitem(sys.modules, "dotenv", None)
    with pytest.raises(SettingsError, match="python-dotenv") as raised:
        read_environment_files(tmp_path, {})
    assert "pip install 'upgrader[worker]'" in str(raised.value.hint)
