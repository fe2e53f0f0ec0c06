"""Statements become one file, and each line of it leads back."""

from __future__ import annotations

from upgrader.lint.step_file import StepFile
from upgrader.model import CapturedStatement


def file_of(*texts: str) -> StepFile:
    return StepFile.of([CapturedStatement(text, "f.py", number) for number, text in enumerate(texts)])


def test_each_line_leads_to_its_statement():
    """Also of statements over several lines, and of those that end in a comment or a newline."""
    texts = ["select 1", "alter table t\n  add a int,\n  add b int -- both", "select 2\n", "select 3"]
    file = file_of(*texts)
    lines = file.text.split("\n")
    for number, text in enumerate(texts):
        for word in text.rstrip("\n").split("\n"):
            assert file.index_at(lines.index(word)) == number
    assert file.text.endswith("\n")


def test_end_of_a_statement_is_its_own():
    """What is said of the line with the semicolon belongs to the statement before it."""
    file = file_of("select (", "select 1")
    assert [file.index_at(line) for line in range(4)] == [0, 0, 1, 1]


def test_other_ends_of_lines():
    """A carriage return does not count as a line of its own, and a NUL does not end the file."""
    file = file_of("select 1,\r\n2\rand\x00 3", "select 4")
    assert file.text == "select 1,\n2\nand 3\n;\nselect 4\n"
    assert file.index_at(4) == 1


def test_without_one():
    """What is left out leaves no gap."""
    file = file_of("a", "b\nb", "c").without(1)
    assert file.text == "a\n;\nc\n"
    assert file.statement_at(2).text == "c"


def test_fragment_counts_bytes():
    """Columns are bytes of UTF-8, not characters."""
    line = 'alter table "größe" drop column "maß", drop column b'
    first, last = (len(line[: line.index(words)].encode()) for words in ("drop", ", drop column b"))
    assert file_of(line).fragment(0, first, 0, last) == 'drop column "maß"'


def test_fragment_over_lines():
    """A place over several lines is told on one, without the semicolon, and cut where it is long."""
    assert file_of("drop\n  table\n t").fragment(0, 0, 3, 1) == "drop table t"
    long = file_of("select " + "a" * 200).fragment(0, 0, 0, 207)
    assert len(long) == 80
    assert long.endswith("…")
    assert file_of("a").fragment(7, 0, 7, 1) == ""
