"""The name of a table as a person writes it, and its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = r'(?:"(?:[^"\x00]|"")+"|[^\W\d][\w$]*)'
_TABLE_NAME = re.compile(rf"(?:(?P<schema>{_PART})\.)?(?P<name>{_PART})")
_LONGEST_IDENTIFIER_BYTES = 63


@dataclass(frozen=True, slots=True)
class TableName:
    """A table, with its schema where one was given. Both parts are bare names, as the catalogue has them."""

    schema: str | None
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read `table`, `schema.table` or `"Schema"."Table"` by PostgreSQL's rules.

        A part without quotes is folded to lower case; in quotes it is taken as it is, `""` being one quote.

        Raises:
            ValueError: it is not of that form.
        """
        match = _TABLE_NAME.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is no table name: write table, schema.table, "
                'or with quotes where a name needs them: "Schema"."Table"'
            )
        schema, name = match["schema"], match["name"]
        return cls(None if schema is None else _bare(schema), _bare(name))

    def __str__(self) -> str:
        parts = [self.name] if self.schema is None else [self.schema, self.name]
        return ".".join(_written(part) for part in parts)


def check_identifier(text: str) -> str:
    """Give `text` back if PostgreSQL could hold it as a name.

    Raises:
        ValueError: it is empty, longer than 63 bytes (PostgreSQL would cut it), or has a character that
            no name can hold.
    """
    if not text.strip():
        raise ValueError("a name may not be empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not valid Unicode") from None
    if size > _LONGEST_IDENTIFIER_BYTES:
        raise ValueError(f"{text!r} is longer than {_LONGEST_IDENTIFIER_BYTES} bytes")
    if "\x00" in text:
        raise ValueError(f"{text!r} has a NUL character")
    return text


def _bare(part: str) -> str:
    bare = part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
    return check_identifier(bare)


def _written(name: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_$]*", name):
        return name
    return '"' + name.replace('"', '""') + '"'
