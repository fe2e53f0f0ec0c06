from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.registry.authoring import HEAD, fast, load_files, write
from upgrader.registry import load


def test_relative_imports_work_without_package_files(tmp_path: Path):
    """`from ._shared import x` works in every folder, `__init__.py` or not, from a folder above too."""
    registry = load_files(
        tmp_path,
        {
            "_shared.py": "TOP = 'top'\n",
            "1.0.0/_near.py": "from .._shared import TOP\nNEAR = TOP + ' near'\n",
            "1.0.0/1_x.py": HEAD + "from ._near import NEAR\nfrom .. import _shared\n" + fast("X", 1),
            "_lib/__init__.py": "from ._deep import D\n",
            "_lib/_deep.py": "D = 4\n",
            "v2/__init__.py": "from .._lib import D\n",
            "v2/y.py": HEAD + "from . import D\nfrom .._lib._deep import D as E\n" + fast("Y", 2),
        },
    )
    assert len(registry.sequence) == 2
    module = sys.modules[registry.command_class("1.0.0_X_1").__module__]
    assert module.NEAR == "top near"


def test_a_sibling_is_loaded_once(tmp_path: Path):
    """A command module that another one imports is the same module, not a second copy of it."""
    registry = load_files(
        tmp_path,
        {
            "a.py": HEAD + "from .b import B\n" + fast("A", 1),
            "b.py": HEAD + fast("B", 2) + "COUNT = globals().get('COUNT', 0) + 1\n",
        },
    )
    a = sys.modules[registry.command_class("1.0.0_A_1").__module__]
    assert a.B is registry.command_class("1.0.0_B_2")


@pytest.mark.parametrize("early", ["", "from . import a\n"])
def test_a_file_and_a_folder_of_one_name(tmp_path: Path, early: str):
    """A module and a folder beside it may have one name; both are loaded, whichever is imported first."""
    registry = load_files(
        tmp_path,
        {
            "1.py": HEAD + early + fast("First", 1),
            "a.py": HEAD + fast("File", 2),
            "a/_near.py": "N = 1\n",
            "a/x.py": HEAD + "from ._near import N\n" + fast("Folder", 3),
            "b.c/x.py": HEAD + fast("Dotted", 4),
            "b.c.py": HEAD + fast("DottedFile", 5),
        },
    )
    assert len(registry.sequence) == 5


def test_an_import_at_run_time_works(tmp_path: Path):
    """A helper that is imported inside of a method is found long after loading."""
    registry = load_files(
        tmp_path,
        {
            "_late.py": "X = 42\n",
            "x.py": HEAD
            + fast("X", 1, body="    def late(self):\n        from ._late import X\n        return X\n"),
        },
    )
    assert registry.create("1.0.0_X_1").late() == 42  # type: ignore[attr-defined]  # an attribute of this class alone


def test_the_search_path_stays_as_it_is(tmp_path: Path):
    """Loading changes neither sys.path nor the import machinery."""
    before = (list(sys.path), list(sys.meta_path), list(sys.path_hooks))
    load_files(tmp_path, {"x.py": HEAD + fast("X", 1)})
    assert (list(sys.path), list(sys.meta_path), list(sys.path_hooks)) == before


def test_a_second_load_is_fresh(tmp_path: Path):
    """An edit is seen by the next load, in helpers too, even within a second and at the same size."""
    for number in (1, 2, 3):
        registry = load_files(
            tmp_path, {"_n.py": f"N = {number}\n", "x.py": HEAD + "from ._n import N\n" + fast("X", number)}
        )
        (step,) = registry.sequence
        assert step.timestamp == number
        assert number == sys.modules[registry.command_class(step.name).__module__].N


def test_a_second_load_gives_classes_of_its_own(tmp_path: Path):
    """Two loads of one directory share no class, and no modules pile up."""
    write(tmp_path, {"x.py": HEAD + fast("X", 1)})
    first = load([tmp_path], base=tmp_path)
    count = len(sys.modules)
    second = load([tmp_path], base=tmp_path)
    assert first.command_class("1.0.0_X_1") is not second.command_class("1.0.0_X_1")
    assert len(sys.modules) == count


def test_a_file_that_was_taken_away_is_gone(tmp_path: Path):
    """A helper that is no longer there is not found in what an earlier load left."""
    write(tmp_path, {"_n.py": "N = 1\n", "x.py": HEAD + "from ._n import N\n" + fast("X", 1)})
    load([tmp_path], base=tmp_path)
    write(tmp_path, {"x.py": HEAD + fast("X", 1)})
    (tmp_path / "_n.py").unlink()
    package = load([tmp_path], base=tmp_path).command_class("1.0.0_X_1").__module__.rpartition(".")[0]
    assert f"{package}._n" not in sys.modules


def test_dataclasses_and_pickling_work(tmp_path: Path):
    """What is defined in a command module can be pickled, and read again by this process."""
    text = """
from dataclasses import dataclass

@dataclass
class Row:
    id: "int"
"""
    registry = load_files(tmp_path, {"v1.0/1_x.y.py": HEAD + text + fast("X", 1)})
    module = sys.modules[registry.command_class("1.0.0_X_1").__module__]
    assert pickle.loads(pickle.dumps(module.Row(3))) == module.Row(3)


def test_another_process_gives_the_same_names(tmp_path: Path):
    """An object that is pickled here can be read in a process that has loaded the directory too."""
    write(tmp_path, {"x.py": HEAD + fast("X", 1)})
    registry = load([tmp_path], base=tmp_path)
    program = (
        "import pickle, sys\nfrom pathlib import Path\nfrom upgrader.registry import load\n"
        "base = Path(sys.argv[1])\nload([base], base=base)\n"
        "print(type(pickle.load(sys.stdin.buffer)).__qualname__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        input=pickle.dumps(registry.create("1.0.0_X_1")),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.decode().strip() == "X"


def test_no_database_library_is_needed():
    """Declaring and loading commands imports no SQLAlchemy, driver, pydantic or library of the CLI."""
    program = (
        "import sys, upgrader.registry, upgrader.generate\n"
        "print([n for n in ('sqlalchemy', 'psycopg', 'pydantic', 'typer', 'rich') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"
