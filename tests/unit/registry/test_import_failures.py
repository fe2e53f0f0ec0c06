from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.registry.authoring import HEAD, fast, places, problems_in, write
from upgrader.registry import load


def test_a_syntax_error(tmp_path: Path):
    """What is no Python is told with its line and the text of it."""
    (problem,) = problems_in(tmp_path, {"x.py": "a = 1\n\ndef up(self connection): ...\n"})
    assert "not valid Python" in problem.message
    assert "def up(self connection): ..." in problem.message
    assert places(problem) == ["x.py:3"]


def test_a_syntax_error_in_a_helper(tmp_path: Path):
    """Where a helper is at fault, its line is named."""
    (problem,) = problems_in(
        tmp_path, {"x.py": HEAD + "from ._helper import y\n" + fast("X", 1), "_helper.py": "\ny = = 1\n"}
    )
    assert places(problem) == ["_helper.py:2"]


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("import sys\nimport nothing_like_that\n", "ModuleNotFoundError: No module named", 2),
        ("from os import nothing\n", "ImportError: cannot import name 'nothing'", 1),
        ("\n\n1 / 0\n", "ZeroDivisionError: division by zero", 3),
        ("raise SystemExit('bye')\n", "SystemExit: bye", 1),
        ("raise SystemExit\n", "SystemExit", 1),
        ("raise BaseException('odd')\n", "BaseException: odd", 1),
        ("raise GeneratorExit\n", "GeneratorExit", 1),
        ("def f(): f()\nf()\n", "RecursionError", 1),
        ("raise ValueError('first\\nsecond')\n", "ValueError: first", 1),
        ("class E(Exception):\n    def __str__(self): raise TypeError\nraise E\n", "E", 3),
        ("import json\njson.loads('{')\n", "JSONDecodeError", 2),
    ],
)
def test_an_exception_at_import(tmp_path: Path, text: str, says: str, line: int):
    """Whatever a module raises when it is imported is a problem at the author's line."""
    (problem,) = problems_in(tmp_path, {"x.py": text})
    assert says in problem.message
    assert places(problem)[-1] == f"x.py:{line}"
    assert problem.remedy


def test_a_decorator_without_its_arguments(tmp_path: Path):
    """A decorator that is not called is told at its line."""
    (problem,) = problems_in(tmp_path, {"x.py": HEAD + "@instance_command\nclass X: ...\n"})
    assert "missing 1 required positional argument: 'timestamp'" in problem.message
    assert places(problem) == ["x.py:2"]


def test_the_innermost_line_of_the_author(tmp_path: Path):
    """An error in a helper names the import and the line in the helper, not those of a library."""
    files = {
        "x.py": HEAD + "from ._a import y\n",
        "_a.py": "from ._b import read\ny = read()\n",
        "_b.py": "import json\n\ndef read():\n    return json.loads('{')\n",
    }
    (problem,) = problems_in(tmp_path, files)
    assert places(problem) == ["x.py:2", "_b.py:4"]


def test_interruption_is_no_problem_of_the_module(tmp_path: Path):
    """Ctrl-C while modules load ends the program."""
    write(tmp_path, {"x.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load([tmp_path], base=tmp_path)


@pytest.mark.parametrize(("content", "line"), [(b"a = '\xe9'\n", 1), (b"#\n\n\n# \xff\n", 4)])
def test_a_file_that_is_not_utf8(tmp_path: Path, content: bytes, line: int):
    """Bytes that are no UTF-8 are told with their line."""
    (tmp_path / "x.py").write_bytes(content)
    (problem,) = problems_in(tmp_path)
    assert "not UTF-8" in problem.message
    assert places(problem) == [f"x.py:{line}"]


@pytest.mark.parametrize(
    "content", [b"a = 1\0\n", b"# coding: no-such-coding\n", b"(" * 5000, b"-" * 100_000 + b"1"]
)
def test_a_file_that_no_parser_takes(tmp_path: Path, content: bytes):
    """NUL bytes, unknown encodings and absurd nesting are problems, not crashes."""
    (tmp_path / "x.py").write_bytes(content)
    (problem,) = problems_in(tmp_path)
    assert places(problem)[0].startswith("x.py")


def test_a_declared_encoding_is_respected(tmp_path: Path):
    """Python's own declaration of another encoding is fine."""
    text = "# coding: latin-1\n" + HEAD + "NAME = 'é'\n" + fast("X", 1)
    (tmp_path / "x.py").write_bytes(text.encode("latin-1"))
    assert len(load([tmp_path], base=tmp_path).sequence) == 1


def test_a_byte_order_mark_and_foreign_line_ends(tmp_path: Path):
    """Files from Windows load, with the right lines."""
    text = (HEAD + fast("X", 1)).replace("\n", "\r\n")
    (tmp_path / "x.py").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (step,) = load([tmp_path], base=tmp_path).sequence
    assert step.place.endswith("x.py:4")


def test_a_failing_package_file_hides_nothing(tmp_path: Path):
    """`__init__.py` is not scanned but is run; its failure is told once, with what is wrong below it."""
    found = problems_in(
        tmp_path,
        {
            "v1/__init__.py": "\n1 / 0\n",
            "v1/a.py": HEAD + fast("A", 1),
            "v1/b.py": HEAD + fast("B", 0),
            "v1/c.py": "def (",
        },
    )
    assert sorted(places(problem)[0] for problem in found) == ["__init__.py:2", "b.py:3", "c.py:1"]


def test_a_folder_that_cannot_be_read(tmp_path: Path):
    """A module that is a folder is entered like any folder; one without modules is fine."""
    (tmp_path / "x.py").mkdir()
    assert load([tmp_path], base=tmp_path).is_empty
