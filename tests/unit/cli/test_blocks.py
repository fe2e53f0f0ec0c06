"""Lines and tables as text: at any width, without secrets, without steering the terminal."""

from upgrader.cli.render.blocks import Cell, Column, Line, Table, to_text
from upgrader.redaction import Redactor

SENTENCE = "the first upgrade of this database enrols everything at the beginning, and says so"


def test_nothing_is_folded_without_a_width() -> None:
    assert to_text([Line(SENTENCE * 3)]) == SENTENCE * 3 + "\n"


def test_a_sentence_is_folded_between_words_and_hangs() -> None:
    assert to_text([Line(SENTENCE, label="error:")], width=60) == (
        "error: the first upgrade of this database enrols everything\n  at the beginning, and says so\n"
    )


def test_a_word_that_is_too_long_is_left_whole() -> None:
    assert to_text([Line(f"see {'x' * 70}", indent=2)], width=60) == f"  see\n    {'x' * 70}\n"


def test_what_is_to_be_copied_is_never_folded() -> None:
    assert to_text([Line(SENTENCE, verbatim=True)], width=20) == SENTENCE + "\n"


def test_further_lines_of_a_text_stand_below_the_label() -> None:
    assert to_text([Line("one\ntwo", label="hint:")]) == "hint: one\n  two\n"


def test_only_the_label_is_coloured() -> None:
    assert to_text([Line("no", label="error:", style="error")], colour=True) == "\x1b[1;31merror:\x1b[0m no\n"


def test_control_characters_are_shown_and_not_sent() -> None:
    assert to_text([Line("a\x1b[2Jb\rc\u202ed")]) == "a\\x1b[2Jb\\rc\\u202ed\n"


def test_secrets_go_before_anything_is_folded() -> None:
    redact = Redactor().with_secrets("correct horse battery staple").redact
    told = to_text([Line("the password is correct horse battery staple, isn't it")], width=30, redact=redact)
    assert told == "the password is ***, isn't it\n"


def test_a_table_is_as_wide_as_its_texts() -> None:
    table = Table([Column("version"), Column("count", right=True)], [["1.0.0", "7"], ["1.10.0", "1,234"]])
    assert to_text([table]) == (
        "version   count\n"
        "---------------\n"
        "1.0.0         7\n"
        "1.10.0    1,234\n"
    )  # fmt: skip


def test_a_table_folds_what_is_not_whole() -> None:
    table = Table(
        [Column("id", whole=True), Column("name")], [["12345678901234567890", "A name of many words"]]
    )
    assert to_text([table], width=35) == (
        "id                     name\n"
        "-----------------------------------\n"
        "12345678901234567890   A name of\n"
        "                       many words\n"
    )


def test_a_table_folds_names_between_their_parts() -> None:
    """A timestamp or a UUID is not torn where there is a better place."""
    table = Table([Column("step")], [["1.1.0_RequirePositivePrices_1795318481418"]])
    assert to_text([table], width=36).splitlines()[2:] == ["1.1.0_RequirePositivePrices_", "1795318481418"]


def test_a_table_of_whole_columns_is_too_wide_rather_than_cut() -> None:
    assert "x" * 70 in to_text([Table([Column("id", whole=True)], [["x" * 70]])], width=60)


def test_wide_letters_take_two_columns() -> None:
    table = Table([Column("name"), Column("n")], [["東京", "1"], ["Tokyo", "2"]])
    assert to_text([table]).splitlines()[2:] == ["東京    1", "Tokyo   2"]


def test_a_table_without_rows_is_nothing() -> None:
    assert to_text([Table([Column("id")], [])]) == ""


def test_cells_are_coloured_and_kept_on_one_line() -> None:
    table = Table([Column("a")], [[Cell("no\nyes", "error")]])
    assert to_text([table], colour=True).endswith("\x1b[1;31mno yes\x1b[0m\n")
