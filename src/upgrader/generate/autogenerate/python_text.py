"""SQL as Python source: what a formatter leaves alone, and what comes out of it as it went in."""

from __future__ import annotations

import re
from textwrap import indent

from sqlalchemy import create_mock_engine, text

from upgrader.generate.autogenerate.sql_writer import DOLLAR, QUOTED

_DIALECT = create_mock_engine("postgresql+psycopg://", lambda *_: None, paramstyle="named").dialect
LINE_LENGTH = 88  # the formatters' own default
_COLON = re.compile(r"(?<!:):(?=[\w$])|(?<=\\):")
_CLAUSES = re.compile(
    r"(?<=[\w\")]) (?=(?:ADD|ALTER COLUMN|VALIDATE|REFERENCES|USING INDEX|FOREIGN KEY|CHECK \(|EXCLUDE|WHERE) ?)"
)


def execute_statement(sql: str, *, connection: str, depth: int = 2, call: str = "") -> str:
    """Write a call that executes one statement as it stands.

    Args:
        connection: the expression for the connection.
        depth: how many levels the call is indented.
        call: what is called on the result: `.scalar_one()`.
    """
    escaped = _escaped(sql)
    if escaped is None:  # no way to write it for text(): the driver gets it without looking for parameters
        options = 'execution_options={"no_parameters": True}'
        return _indented(
            f"{connection}.exec_driver_sql(\n    {_string(sql)},\n    {options},\n){call}", depth
        )
    line = f"{connection}.execute(text({_string(escaped)})){call}"
    if "\n" not in sql and len(line) + 4 * depth <= LINE_LENGTH:
        return _indented(line, depth)
    if _has_line_break_inside_quotes(sql) or not _is_plain(sql):
        return _indented(
            f"{connection}.execute(\n    text(\n        {_string(escaped)}\n    )\n){call}", depth
        )
    body = escaped if "\n" in escaped else _broken(escaped, LINE_LENGTH - 4 * (depth + 2))
    body = indent(body.replace("\\", "\\\\").replace('"""', '\\"""'), " " * 8)
    return _indented(f'{connection}.execute(\n    text("""\n{body}\n    """)\n){call}', depth)


def python_string(value: str) -> str:
    """Write a text as a Python literal, in double quotes unless that takes more escapes."""
    return _string(value)


def _escaped(sql: str) -> str | None:
    """Write SQL for `text()`, which takes `:name` for a parameter; None where that cannot be."""
    escaped = _COLON.sub(r"\:", sql)
    compiled = text(escaped).compile(dialect=_DIALECT)
    return escaped if str(compiled) == sql and not compiled.params else None


def _broken(sql: str, width: int) -> str:
    """Break one long line before its clauses, outside of quotes."""
    if len(sql) <= width:
        return sql
    parts = QUOTED.split(sql)
    parts[::2] = [_CLAUSES.sub("\n    ", part) for part in parts[::2]]
    return "".join(parts)


def _has_line_break_inside_quotes(sql: str) -> bool:
    # In dollar quotes, too: the body of a function keeps its own layout.
    return any("\n" in part for part in QUOTED.split(sql)[1::2]) or (
        "\n" in sql and DOLLAR.search(sql) is not None
    )


def _is_plain(sql: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in sql)


def _string(value: str) -> str:
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_character(one, quote) for one in value) + quote


def _character(one: str, quote: str) -> str:
    if one in (quote, "\\"):
        return "\\" + one
    if one.isprintable():
        return one
    return one.encode("unicode_escape").decode("ascii")


def _indented(block: str, depth: int) -> str:
    """Indent a block; what stands in triple quotes moves along: it is SQL, where blanks do not matter."""
    return indent(block, "    " * depth)
