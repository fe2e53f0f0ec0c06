"""JSON written piece by piece is the JSON that the standard library writes."""

import json
from collections.abc import Iterator
from itertools import count, islice

import pytest

from upgrader.cli.render.json_text import Each, Later, json_pieces

DOCUMENTS = [
    {},
    {"a": 1},
    {
        "text": 'q"uote\n\u00e9\ud83d\ude00\x00',
        "none": None,
        "yes": True,
        "float": 0.25,
        "empty": [],
        "nothing": {},
    },
    {"deep": [{"rows": [[1, 2], [], {"a": {"b": [None]}}]}, "x"], "tuple": (1, "2"), "last": False},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_same_text_as_json_dumps(document: dict[str, object]) -> None:
    """Character by character, with the newline at the end."""
    assert "".join(json_pieces(document, str)) == json.dumps(document, indent=2) + "\n"


@pytest.mark.parametrize("rows", [[], [1], [{"a": 1}, {"a": [2]}]], ids=str)
def test_rows_are_written_like_a_list(rows: list[object]) -> None:
    """`Each` and `Later` stand for a list and a value."""
    given = {"rows": Each(iter(rows), lambda row: row), "more": Later(lambda: len(rows))}

    assert "".join(json_pieces(given, str)) == json.dumps({"rows": rows, "more": len(rows)}, indent=2) + "\n"


def test_secrets_are_taken_out_of_every_text() -> None:
    """Also where the same text comes again and again."""
    given = {"a": "secret", "b": [{"c": "a secret"}], "d": Each(["secret", "secret"], str)}

    text = "".join(json_pieces(given, lambda one: one.replace("secret", "***")))

    assert json.loads(text) == {"a": "***", "b": [{"c": "a ***"}], "d": ["***", "***"]}


def test_rows_are_made_as_they_are_written() -> None:
    """The first pieces come before the last row is asked for: there may be no last one."""
    made = []

    def rows() -> Iterator[int]:
        for number in count():
            made.append(number)
            yield number

    pieces = json_pieces({"rows": Each(rows(), lambda number: {"number": number})}, str)

    assert all(islice(pieces, 3))
    assert len(made) < 20_000
