from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from tests.unit.registry.authoring import HEAD, fast, load_files, places, problems_in, slow, workspace, write
from upgrader.errors import LoadingError
from upgrader.registry import load

SCENARIOS = Path(__file__).parents[2] / "scenarios" / "loading"


def test_three_kinds_in_order():
    """A directory as people write it: versions ascending; in each fast, slow, workspace."""
    registry = load(["three_kinds"], base=SCENARIOS)
    assert [step.name for step in registry.sequence] == [
        "1.21.0_CreateInvoice_1772000000000",
        "1.22.0_AddWorkspaceIdToInvoice_1775758621017",
        "1.22.0_BackfillInvoiceWorkspaceId_1775758621018",
        "1.22.0_BackfillStandardSkills_1780000002000",
    ]


def test_what_a_step_says_of_its_command(monkeypatch: pytest.MonkeyPatch):
    """Summary, place and command-line name; the place is relative to the directory at hand."""
    monkeypatch.chdir(SCENARIOS)
    registry = load(["three_kinds"], base=SCENARIOS)
    step = registry.sequence.by_name["1.22.0_AddWorkspaceIdToInvoice_1775758621017"]
    assert step.summary == "Add invoice.workspace_id."
    assert step.place == "three_kinds/v1_22_0/1775758621017_add_workspace_id_to_invoice.py:11"
    assert step.checksum.startswith("v1:")
    assert registry.by_cli_name("backfill-standard-skills").class_name == "BackfillStandardSkills"


def test_a_place_outside_of_the_working_directory_is_absolute(tmp_path: Path):
    """Where the file does not lie below the working directory, its full path is named."""
    (step,) = load_files(tmp_path, {"x.py": HEAD + fast("X", 1)}).sequence
    assert step.place == f"{tmp_path}/x.py:4"


@pytest.mark.parametrize("names", [[], ["README.md"], ["_helper.py"], [".hidden/x.py"], ["_old/x.py"]])
def test_an_empty_directory_is_an_empty_registry(tmp_path: Path, names: list[str]):
    """A directory with no command module in it is fine: there is nothing to run."""
    registry = load_files(tmp_path, dict.fromkeys(names, "this is ( no python"))
    assert registry.is_empty
    assert len(registry.sequence) == 0
    assert registry.highest_version is None


def test_no_location_is_an_empty_registry(tmp_path: Path):
    """Without any location there are no commands."""
    assert load([], base=tmp_path).is_empty


def test_any_depth_and_any_name(tmp_path: Path):
    """Folders nest; names that are no identifiers, with dots, digits and spaces, are fine."""
    registry = load_files(
        tmp_path,
        {
            "a.py": HEAD + fast("A", 1),
            "1.22.0/02 - second.step.py": HEAD + fast("B", 2),
            "1.22.0/x/y/z/3_third.py": HEAD + fast("C", 3),
            "1.22.0/__init__.py": "",
            "class.py": HEAD + fast("D", 4),
        },
    )
    assert [step.class_name for step in registry.sequence] == ["A", "B", "C", "D"]


def test_several_commands_in_one_file(tmp_path: Path):
    """A file may hold commands of several kinds and versions."""
    text = HEAD + fast("A", 1) + slow("B", 1) + workspace("C", 1) + fast("D", 1, "1.1.0")
    assert len(load_files(tmp_path, {"all.py": text}).sequence) == 4


def test_a_path_that_is_not_there(tmp_path: Path):
    """A missing directory is named, with what to do about it."""
    with pytest.raises(LoadingError) as caught:
        load(["nothing.here", "./other", "", tmp_path / "third"], base=tmp_path)
    messages = [problem.message for problem in caught.value.problems]
    assert messages[0] == "the commands path 'nothing.here' is neither a directory nor an importable package"
    assert messages[1] == "the commands path './other' is not there"
    assert messages[2] == "the commands path '' is empty"
    assert messages[3].endswith("/third' is not there")
    assert all("upgrader init" in (problem.remedy or "") for problem in caught.value.problems)


def test_a_folder_on_the_import_path_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A missing `commands` is not taken from a folder of that name that happens to be importable."""
    write(tmp_path, {"elsewhere/loading_folder/x.py": HEAD + fast("X", 1)})
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with pytest.raises(LoadingError) as caught:
        load(["loading_folder"], base=tmp_path)
    assert "is not there" in caught.value.problems[0].message


def test_a_path_that_is_a_file(tmp_path: Path):
    """A file instead of a directory is said to be one."""
    write(tmp_path, {"x.py": HEAD + fast("X", 1)})
    with pytest.raises(LoadingError) as caught:
        load(["x.py"], base=tmp_path)
    assert "is not a directory" in caught.value.problems[0].message


def test_a_module_without_a_command(tmp_path: Path):
    """A module that defines no command is a problem; the remedy is the underscore."""
    (problem,) = problems_in(tmp_path, {"helper.py": "X = 1\n"})
    assert problem.message == "there is no command in this module"
    assert "_helper.py" in (problem.remedy or "")


def test_an_imported_command_counts_only_at_home(tmp_path: Path):
    """Importing a command from another module gives no second one, nor does a second name."""
    registry = load_files(
        tmp_path,
        {
            "a.py": HEAD + fast("A", 1) + "Again = A\n",
            "b.py": HEAD + "from .a import A\n" + fast("B", 2),
        },
    )
    assert [step.class_name for step in registry.sequence] == ["A", "B"]


def test_a_command_that_is_defined_again(tmp_path: Path):
    """A class that a namesake hides would never run: it is a problem, not silence."""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + fast("A", 1) + fast("A", 2)})
    assert "would never run" in problem.message
    assert places(problem) == ["x.py:4"]


@pytest.mark.parametrize("outer", ["class Outer:", "def make():"])
def test_a_command_inside_of_something(tmp_path: Path, outer: str):
    """A command that is not at the top level would never be found: it is a problem too."""
    inner = fast("A", 1).replace("\n", "\n    ")
    (problem,) = problems_in(tmp_path, {"x.py": f"{HEAD}{outer}\n    {inner}\n"})
    assert "inside of a class or function" in problem.message


def test_commands_made_by_a_function_and_bound_are_fine(tmp_path: Path):
    """A class that a function made and the module keeps is a command of that module."""
    text = """
def make(number):
    @instance_command("1.0.0", number)
    class Made:
        def up(self, connection): ...
    return Made

First = make(1)
"""
    assert [step.name for step in load_files(tmp_path, {"x.py": HEAD + text}).sequence] == ["1.0.0_Made_1"]


def test_either_of_two_definitions(tmp_path: Path):
    """One class in two branches is one command: that which ran."""
    first, second = (fast("A", number).replace("\n", "\n    ") for number in (1, 2))
    text = f"if True:{first}\nelse:{second}\n"
    assert [step.timestamp for step in load_files(tmp_path, {"x.py": HEAD + text}).sequence] == [1]


@pytest.mark.parametrize("name", ["5_x.py", "5.py", "5-x.py"])
def test_a_file_name_with_another_timestamp(tmp_path: Path, name: str):
    """A file that starts with a timestamp carries the same one in its decorator."""
    (problem,) = problems_in(tmp_path, {name: HEAD + fast("X", 6)})
    assert "the file's name says 5" in problem.message
    assert places(problem) == [f"{name}:3"]


@pytest.mark.parametrize("name", ["6_x.py", "006_x.py", "x_5.py", "5x.py", "x.py"])
def test_a_file_name_that_agrees_or_says_nothing(tmp_path: Path, name: str):
    """The same number, or no number in front, is fine."""
    assert len(load_files(tmp_path, {name: HEAD + fast("X", 6)}).sequence) == 1


def test_problems_of_all_files_and_kinds_together(tmp_path: Path):
    """One problem hides no other: locations, imports, declarations and collisions are told in one go."""
    write(
        tmp_path / "commands",
        {
            "a.py": HEAD + fast("A", 1),
            "b.py": HEAD + fast("B", 1),
            "broken.py": "def (",
            "fails.py": "import a_module_that_is_not_there",
            "nothing.py": "",
            "wrong.py": HEAD + fast("W", 0),
        },
    )
    with pytest.raises(LoadingError) as caught:
        load(["commands", "elsewhere"], base=tmp_path)
    said = " | ".join(problem.message for problem in caught.value.problems)
    for part in ("elsewhere", "with the timestamp 1", "not valid Python", "cannot be imported", "no command"):
        assert part in said
    assert len(caught.value.problems) == 6
    assert caught.value.message == "6 problems in the command modules"


def test_a_directory_named_twice_or_within_another_is_loaded_once(tmp_path: Path):
    """Locations that overlap give each command once, and its module stays importable."""
    write(tmp_path, {"commands/v1/x.py": HEAD + fast("X", 1)})
    registry = load(["commands", "./commands", "commands/v1", tmp_path / "commands"], base=tmp_path)
    (step,) = registry.sequence
    assert registry.command_class(step.name).__module__ in sys.modules


def test_several_directories(tmp_path: Path):
    """Commands of several directories make one sequence."""
    write(tmp_path, {"one/x.py": HEAD + fast("X", 2), "two/x.py": HEAD + fast("Y", 1)})
    assert [step.class_name for step in load(["one", "two"], base=tmp_path).sequence] == ["Y", "X"]


def test_links_in_a_circle_end(tmp_path: Path):
    """A link to a folder above, or to itself, does not keep the scan going."""
    write(tmp_path, {"v1/x.py": HEAD + fast("X", 1)})
    (tmp_path / "v1" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert len(load([tmp_path], base=tmp_path).sequence) == 1


def test_a_linked_folder_is_scanned(tmp_path: Path):
    """A folder that is a link counts like any other, once."""
    write(tmp_path, {"elsewhere/x.py": HEAD + fast("X", 1)})
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "v1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "commands" / "v2").symlink_to(tmp_path / "elsewhere")
    assert len(load(["commands"], base=tmp_path).sequence) == 1


def test_a_link_that_leads_nowhere(tmp_path: Path):
    """A module that is a dead link is not passed over."""
    (tmp_path / "x.py").symlink_to(tmp_path / "gone.py")
    (problem,) = problems_in(tmp_path)
    assert "leads nowhere" in problem.message


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    """Something that is no file is a problem and does not hang the scan."""
    os.mkfifo(tmp_path / "x.py")
    (problem,) = problems_in(tmp_path)
    assert "not a file" in problem.message


def test_an_importable_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A dotted name is imported as what it is; its modules keep their own names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write(
        tmp_path,
        {
            "loading_app_a/__init__.py": "",
            "loading_app_a/upgrades/__init__.py": "",
            "loading_app_a/upgrades/_shared.py": "NUMBER = 1\n",
            "loading_app_a/upgrades/v1/1_x.py": HEAD + "from .._shared import NUMBER\n" + fast("X", 1),
        },
    )
    registry = load(["loading_app_a.upgrades"], base=tmp_path / "nowhere")
    (step,) = registry.sequence
    assert registry.command_class(step.name).__module__ == "loading_app_a.upgrades.v1.1_x"


def test_an_importable_package_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package belongs to the application: its modules are not replaced under its feet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, {"loading_app_b/__init__.py": "", "loading_app_b/x.py": HEAD + fast("X", 1)})
    first, second = (load(["loading_app_b"], base=tmp_path / "nowhere") for _ in range(2))
    assert first.command_class("1.0.0_X_1") is second.command_class("1.0.0_X_1")


def test_a_package_in_several_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package whose parts lie in several directories is scanned in all of them."""
    for number in (1, 2):
        root = write(tmp_path / str(number), {"loading_ns/up/v1/x.py": HEAD + fast(f"X{number}", number)})
        monkeypatch.syspath_prepend(str(root))
    assert len(load(["loading_ns.up"], base=tmp_path / "nowhere").sequence) == 2


def test_a_package_that_fails_and_a_module_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What goes wrong inside of a package is told with its line, not as if it were not there."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write(
        tmp_path,
        {
            "loading_app_c/__init__.py": "\nimport nothing_of_that_name\n",
            "loading_app_d.py": "",
            "loading_app_e/__init__.py": "raise SystemExit(2)",
        },
    )
    with pytest.raises(LoadingError) as caught:
        load(["loading_app_c", "loading_app_d", "loading_app_e", "loading_app_c.sub"], base=tmp_path / "x")
    failed, module, ended, below = caught.value.problems
    assert "ModuleNotFoundError" in failed.message
    assert places(failed) == ["__init__.py:2"]
    assert "is a module, not a package" in module.message
    assert "SystemExit: 2" in ended.message
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in below.message


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Loading writes to neither stream, whether it succeeds or not."""
    load_files(tmp_path / "good", {"x.py": HEAD + fast("X", 1)})
    problems_in(tmp_path / "bad", {"x.py": "1/0"})
    assert capfd.readouterr() == ("", "")


def test_threads_may_load_one_directory_at_once(tmp_path: Path):
    """Two workers that load at the same time both get whole registries."""
    write(tmp_path, {f"{n}_x.py": HEAD + "from ._near import N\n" + fast(f"X{n}", n) for n in range(1, 20)})
    write(tmp_path, {"_near.py": "N = 1\n"})
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(load([tmp_path], base=tmp_path).sequence)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [19] * 6


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Loading by full path needs no working directory."""
    write(tmp_path, {"commands/x.py": HEAD + fast("X", 1)})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    shutil.rmtree(tmp_path / "here")
    assert len(load([tmp_path / "commands"], base=tmp_path).sequence) == 1
