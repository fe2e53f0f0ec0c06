from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from upgrader.command import CommandKind
from upgrader.errors import OperatorError
from upgrader.generate import CommandType, scaffold_command
from upgrader.registry import load
from upgrader.version import ReleaseVersion

V = ReleaseVersion.parse("1.22.0")
NOW = 1775758621017


def scaffold(
    directory: Path, name: str, type_: CommandType = "fast", version: ReleaseVersion = V, **more
) -> Path:
    return scaffold_command(
        name=name, type=type_, version=version, directory=directory, now_ms=lambda: NOW, **more
    )


def test_where_the_file_goes(tmp_path: Path):
    """One folder for each release; the file's name is the time and the slug."""
    path = scaffold(tmp_path / "commands", "add-invoice-workspace-id")
    assert path == tmp_path / "commands" / "v1_22_0" / f"{NOW}_add_invoice_workspace_id.py"


def test_the_clock_is_the_default(tmp_path: Path):
    """Without a clock of the caller's, the timestamp is the time in milliseconds."""
    path = scaffold_command(name="x", type="fast", version=V, directory=tmp_path)
    assert 1_700_000_000_000 < int(path.stem.split("_")[0]) < 10_000_000_000_000


def test_what_is_written_loads(tmp_path: Path):
    """Every type, in either mode, loads as it is, with the kind and flags that were asked for."""
    for type_, transactional in product(("fast", "slow", "workspace"), (True, False)):
        scaffold(tmp_path, f"{type_}-{transactional}", type_, transactional=transactional)
    steps = load([tmp_path], base=tmp_path).sequence
    assert [(step.kind, step.transactional, step.class_name) for step in steps] == [
        (CommandKind.FAST, True, "FastTrue"),
        (CommandKind.FAST, False, "FastFalse"),
        (CommandKind.SLOW, True, "SlowTrue"),
        (CommandKind.SLOW, False, "SlowFalse"),
        (CommandKind.WORKSPACE, True, "WorkspaceTrue"),
        (CommandKind.WORKSPACE, False, "WorkspaceFalse"),
    ]
    assert {step.summary for step in steps} >= {"Fast true.", "Workspace false."}


def test_what_is_not_written_yet_raises(tmp_path: Path):
    """A command that was generated and forgotten fails instead of counting as done."""
    for type_ in ("fast", "slow", "workspace"):
        scaffold(tmp_path, f"a-{type_}", type_)
    registry = load([tmp_path], base=tmp_path)
    for step in registry.sequence:
        command = registry.create(step.name)
        methods = [name for name in dir(command) if not name.startswith("_")]
        assert methods
        for method in methods:
            with pytest.raises(NotImplementedError, match=method):
                getattr(command, method)(None)


def test_authors_are_told_what_must_be_repeatable(tmp_path: Path):
    """A data migration and a command in autocommit carry a note; a plain fast one does not."""
    texts = {
        (type_, mode): scaffold(tmp_path, f"{type_}-{mode}", type_, transactional=mode).read_text()
        for type_, mode in product(("fast", "slow", "workspace"), (True, False))
    }
    assert {key for key, text in texts.items() if "repeatable" not in text} == {
        ("fast", True),
        ("workspace", True),
    }


def test_what_is_written_is_well_formatted_and_typed(tmp_path: Path):
    """The formatter changes nothing, the linter and the strict type checker find nothing."""
    for type_, mode in product(("fast", "slow", "workspace"), (True, False)):
        scaffold(tmp_path, f"{type_}-{mode}-" + "long" * 15, type_, transactional=mode)
    root = Path(__file__).parents[3]
    files = [str(path) for path in tmp_path.rglob("*.py")]
    for check in (
        ["ruff", "format", "--isolated", "--diff", *files],
        ["ruff", "check", "--isolated", "--select", "E,F,W,I,B,UP,C4,SIM,RUF,PT", *files],
        [
            "mypy",
            "--strict",
            "--follow-imports=silent",
            "--scripts-are-modules",
            "--config-file=",
            f"--cache-dir={tmp_path}/cache",
            *files,
        ],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *check],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={"MYPYPATH": str(root / "src"), "PATH": "/usr/bin"},
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_twice_within_one_millisecond(tmp_path: Path):
    """Two commands of one moment get two timestamps, in order, whatever their types."""
    paths = [
        scaffold(tmp_path, f"step-{n}", type_) for n, type_ in enumerate(("fast", "fast", "slow", "fast"))
    ]
    assert [int(path.stem.split("_")[0]) for path in paths] == [NOW, NOW + 1, NOW + 2, NOW + 3]


def test_a_clock_that_is_behind(tmp_path: Path):
    """A new command comes after every other of its version and kind, even after one from the future."""
    scaffold_command(name="a", type="fast", version=V, directory=tmp_path, now_ms=lambda: NOW + 5000)
    assert scaffold(tmp_path, "b").stem == f"{NOW + 5001}_b"
    assert scaffold(tmp_path, "c", "workspace").stem == f"{NOW}_c"
    assert scaffold(tmp_path, "d", version=ReleaseVersion.parse("1.23.0")).stem == f"{NOW}_d"


def test_timestamps_are_read_from_the_decorators(tmp_path: Path):
    """A command in a file without a timestamp, anywhere, counts by what its decorator says."""
    (tmp_path / "old.py").write_text(f'@instance_command("1.22.0", {NOW})\nclass Old: ...\n')
    assert scaffold(tmp_path, "new").stem == f"{NOW + 1}_new"


def test_broken_modules_do_not_stop_it(tmp_path: Path):
    """What cannot be parsed or imported is passed over; its file name still counts."""
    (tmp_path / "v1_22_0").mkdir()
    (tmp_path / "v1_22_0" / f"{NOW}_half_done.py").write_text("def (")
    (tmp_path / "v1_22_0" / "fails.py").write_text("1/0")
    assert scaffold(tmp_path, "new").stem == f"{NOW + 1}_new"


@pytest.mark.parametrize("name", ["add-x", "AddX", "add_X", "ADDX"])
def test_a_name_that_is_taken(tmp_path: Path, name: str):
    """A class of that name in that version, in any case, is refused with its place; nothing is written."""
    first = scaffold(tmp_path, "add-x")
    with pytest.raises(OperatorError) as caught:
        scaffold(tmp_path, name, "slow")
    assert "1.22.0 has a command AddX already" in caught.value.message
    assert first.name in caught.value.message
    assert caught.value.hint == "give another --name"
    assert list(tmp_path.rglob("*.py")) == [first]


def test_a_name_of_another_version(tmp_path: Path):
    """Instance commands may have the same name in another version."""
    scaffold(tmp_path, "add-x")
    assert scaffold(tmp_path, "add-x", version=ReleaseVersion.parse("1.23.0")).parent.name == "v1_23_0"


def test_a_command_line_name_that_is_taken(tmp_path: Path):
    """Workspace commands share their command-line names across versions."""
    scaffold(tmp_path, "fill", "workspace")
    with pytest.raises(OperatorError) as caught:
        scaffold(tmp_path, "fill", "workspace", ReleaseVersion.parse("1.23.0"))
    assert "a workspace command is called fill already" in caught.value.message


def test_a_refused_name_leaves_no_folder(tmp_path: Path):
    """Nothing is made for a name that cannot be used."""
    with pytest.raises(OperatorError):
        scaffold(tmp_path / "commands", "class")
    assert not (tmp_path / "commands").exists()


def test_an_unknown_type(tmp_path: Path):
    """Only three types can be generated."""
    with pytest.raises(OperatorError) as caught:
        scaffold(tmp_path, "x", "medium")  # type: ignore[arg-type]  # what is to be refused
    assert "fast, slow or workspace" in (caught.value.hint or "")


def test_a_file_in_the_way(tmp_path: Path):
    """A directory that cannot be made is the operator's matter, not a crash."""
    (tmp_path / "commands").write_text("")
    with pytest.raises(OperatorError) as caught:
        scaffold(tmp_path / "commands", "x")
    assert "cannot be written" in caught.value.message


def test_no_timestamp_left(tmp_path: Path):
    """After the largest timestamp there is no next one."""
    (tmp_path / "x.py").write_text(f'@instance_command("1.22.0", {2**63 - 1})\nclass Last: ...\n')
    with pytest.raises(OperatorError) as caught:
        scaffold(tmp_path, "y")
    assert "no timestamp is left" in caught.value.message


def test_a_pre_release(tmp_path: Path):
    """A pre-release has a folder of its own."""
    path = scaffold(tmp_path, "x", version=ReleaseVersion.parse("1.22.0rc1"))
    assert path.parent.name == "v1_22_0rc1"
    assert len(load([tmp_path], base=tmp_path).sequence) == 1
