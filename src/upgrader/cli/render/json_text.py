"""Documents as JSON text, piece by piece: one of a hundred thousand rows is never whole in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Generic, TypeVar

from upgrader.cli.render.blocks import Redact

_INDENT = "  "
_PIECE_CHARACTERS = 65_536
_REPEATED = 4096  # different texts of which most of a long document consists: versions, names of steps, …

RowT = TypeVar("RowT")


@dataclass(frozen=True, eq=False)
class Each(Generic[RowT]):
    """In place of a list in a document: its rows are made when they are written, and kept by nobody.

    Attributes:
        rows: gone through once.
        fields: gives what is written of a row.
    """

    rows: Iterable[RowT]
    fields: Callable[[RowT], object]

    def __iter__(self) -> Iterator[object]:
        return map(self.fields, self.rows)


class Later:
    """In place of a value in a document that is only known once what stands before it is written."""

    def __init__(self, value: Callable[[], object]) -> None:
        self.value = value


def json_pieces(document: Mapping[str, Any], redact: Redact) -> Iterator[str]:
    """Give a document as `json.dumps(indent=2)` writes it, without secrets, in pieces of some size."""
    pieces: list[str] = []
    size = 0
    for piece in _Writer(redact).pieces(document):
        pieces.append(piece)
        size += len(piece)
        if size >= _PIECE_CHARACTERS:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join(pieces)


class _Writer:
    """Knows how to take secrets out, and remembers what it was asked often."""

    def __init__(self, redact: Redact) -> None:
        self._quoted = lru_cache(_REPEATED)(lambda text: encode_basestring_ascii(redact(text)))
        self._key = lru_cache(_REPEATED)(lambda key: encode_basestring_ascii(str(key)))

    def pieces(self, document: Mapping[str, Any]) -> Iterator[str]:
        """Give a document: only its `Each` are taken apart, the rest is small."""
        line, before = f"\n{_INDENT}", "{"
        for key, value in document.items():
            yield f"{before}{line}{self._key(key)}: "
            if isinstance(value, Each):
                yield from self._rows(value, line)
            else:
                yield self._text(value.value() if isinstance(value, Later) else value, line)
            before = ","
        yield "\n}\n" if before == "," else "{}\n"

    def _rows(self, rows: Each[Any], line: str) -> Iterator[str]:
        inner, before = line + _INDENT, "["
        for row in rows:
            yield f"{before}{inner}{self._text(row, inner)}"
            before = ","
        yield f"{line}]" if before == "," else "[]"

    def _text(self, value: Any, line: str) -> str:
        """Give a value.

        Args:
            line: what begins a line at its depth.
        """
        if value is None:
            return "null"
        if isinstance(value, str):
            return self._quoted(value)
        inner = line + _INDENT
        if isinstance(value, Mapping):
            members = [f"{self._key(key)}: {self._text(one, inner)}" for key, one in value.items()]
            return f"{{{inner}{f',{inner}'.join(members)}{line}}}" if members else "{}"
        if isinstance(value, Sequence):
            members = [self._text(one, inner) for one in value]
            return f"[{inner}{f',{inner}'.join(members)}{line}]" if members else "[]"
        return json.dumps(value)
