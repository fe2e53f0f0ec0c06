from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.registry.authoring import HEAD, fast, load_files
from upgrader.registry import instance_command, registry_of
from upgrader.registry.checksum import canonical_pieces, checksum_of

ORIGINAL = '''
@instance_command("1.0.0", 1)
class X:
    """Do x."""

    limit = 10

    def up(self, connection):
        """Go up."""
        connection.execute(f"SELECT {self.limit:>{3}} AS a", {"b": [1, 2.5, None, True, b"x"]})
'''


def checksum(text: str) -> str:
    (node,) = ast.parse(dedent(text)).body
    assert isinstance(node, ast.ClassDef)
    return checksum_of(node)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Do x."""', '"""Do it in another way.\n\n    At length."""'),
        ('    """Do x."""\n', ""),
        ('        """Go up."""\n', ""),
        ("limit = 10", "limit = 10  # a comment"),
        ("limit = 10", "limit = (10)"),
        ("limit = 10", "limit = 0xA"),
        ("limit = 10", "limit=1_0;"),
        ('("1.0.0", 1)', "(\n    '1.0.0',\n    1,\n)"),
        ('"b"', "u'b'"),
        ('f"SELECT ', '"SEL" f"ECT '),
        ("    def up", "\n\n\n    # here\n    def up"),
        ('"1.0.0", 1', '"1.0.0", 1, lock_timeout_seconds=5, lock_tries=3, statement_timeout_seconds=0'),
        (
            '"1.0.0", 1',
            '"1.0.0", 1, idle_in_transaction_session_timeout_seconds=5, concurrent_wait_seconds=9',
        ),
    ],
)
def test_what_makes_no_difference(old: str, new: str):
    """Comments, docstrings, layout and spelling of the same values leave the checksum as it is."""
    changed = ORIGINAL.replace(old, new, 1)
    assert changed != ORIGINAL
    assert checksum(changed) == checksum(ORIGINAL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"1.0.0", 1', '"1.0.0", 2'),
        ("class X", "class Y"),
        ("class X", "class X(Base)"),
        ("limit = 10", "limit = 11"),
        ("limit = 10", "limit = 10.0"),
        ("limit = 10", "limit = '10'"),
        ("limit = 10", "limit: int = 10"),
        ("SELECT", "select"),
        (":>{3}", ""),
        (":>{3}", "!r:>{3}"),
        ('b"x"', "'x'"),
        ("None", "..."),
        ("True", "1"),
        ("2.5, None", "None, 2.5"),
        ("def up", "async def up"),
        ("def up", "def down"),
        ("connection)", "connection, *, x=1)"),
        ("self.limit", "self.bound"),
        ('{"b":', '{**b, "b":'),
    ],
)
def test_what_makes_a_difference(old: str, new: str):
    """Whatever may change what the command does changes the checksum."""
    changed = ORIGINAL.replace(old, new, 1)
    assert changed != ORIGINAL
    assert checksum(changed) != checksum(ORIGINAL)


def test_a_docstring_alone_is_an_empty_body():
    """A method of nothing but its docstring is a method of nothing."""
    assert checksum("class X:\n    def f(self):\n        'doc'") == checksum(
        "class X:\n    def f(self): pass"
    )


def test_only_the_first_string_is_a_docstring():
    """A text that is used is no docstring."""
    assert checksum("class X:\n    a = 'x'") != checksum("class X:\n    a = 'y'")


def test_it_is_the_same_on_every_python_version():
    """The written form is fixed: these digits were computed on 3.11 and hold on every later version."""
    text = (Path(__file__).parent / "every_syntax.txt").read_text(encoding="utf-8")
    assert checksum(text) == "v1:5db368f206f09ab626ac85a15c97938898b76170e664799464916f9f42b0b1c1"


def test_the_written_form():
    """Nodes with their fields in alphabetical order, constants with their type; nothing that is empty."""
    node = ast.parse("class X:\n    a = -1 if b else 'é'").body[0]
    assert "".join(canonical_pieces(node)) == (
        "(ClassDef body=[(Assign targets=[(Name id=<str 'a'>)] value=(IfExp"
        " body=(UnaryOp op=(USub) operand=(Constant value=<int 0x1>))"
        " orelse=(Constant value=<str '\\xe9'>) test=(Name id=<str 'b'>)))] name=<str 'X'>)"
    )


def test_literal_parts_of_an_f_string_are_joined():
    """Python versions cut them differently; the written form does not."""
    x = ast.FormattedValue(ast.Name("x", ast.Load()), -1)
    whole = ast.JoinedStr([ast.Constant("ab"), x])
    cut = ast.JoinedStr([ast.Constant("a"), ast.Constant(""), ast.JoinedStr([ast.Constant("b")]), x])
    assert list(canonical_pieces(cut)) == list(canonical_pieces(whole))
    empty = ast.FormattedValue(ast.Name("x", ast.Load()), -1, ast.JoinedStr([ast.Constant("")]))
    assert list(canonical_pieces(empty)) == list(canonical_pieces(x))


def test_a_very_deep_and_a_very_large_constant():
    """A sum of thousands of texts and a number of thousands of digits are no trouble."""
    deep = " + ".join(["'x'"] * 900)
    assert checksum(f"class X:\n    a = {deep}\n    b = 0x{'f' * 6000}").startswith("v1:")


def test_it_is_that_of_the_class_in_its_file(tmp_path: Path):
    """What is around the class in its file does not count; the same class elsewhere has the same checksum."""
    body = fast("X", 1)
    (one,) = load_files(tmp_path / "a", {"x.py": HEAD + body}).sequence
    (two,) = load_files(tmp_path / "b", {"y.py": HEAD + "A = 1\n\n\n" + body + "B = 2\n"}).sequence
    (three,) = load_files(tmp_path / "c", {"y.py": HEAD + body.replace("...", "1")}).sequence
    assert one.checksum == two.checksum != three.checksum


def test_without_source_it_is_over_the_name():
    """A class whose source cannot be read has a checksum that never changes."""
    namespace: dict[str, object] = {"instance_command": instance_command, "__name__": "made_up"}
    exec(fast("X", 1), namespace)
    (step,) = registry_of([namespace["X"]]).sequence  # type: ignore[list-item]  # a class by its name
    assert step.checksum == "v1:65dd0a3638dc31e90a6b3c91ae0e5d380b8336029704c18001dde36062f0a346"
