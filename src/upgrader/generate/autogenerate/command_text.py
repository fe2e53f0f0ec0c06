"""A draft as the source of a module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from upgrader.command import CommandKind
from upgrader.generate.autogenerate.change import Change, IndexChange, RequiredColumn
from upgrader.generate.autogenerate.draft import Draft
from upgrader.generate.autogenerate.python_text import LINE_LENGTH, execute_statement, python_string

_INDENT = "    "


@dataclass(frozen=True, slots=True)
class _Method:
    """A method's name and body; `connection` is how its body speaks of the connection."""

    name: str
    parameter: str
    type: str
    body: str

    @property
    def text(self) -> str:
        return f"{_INDENT}def {self.name}(self, {self.parameter}: {self.type}) -> None:\n{self.body}\n"


def command_text(draft: Draft, *, version: str, timestamp: int, class_name: str, sentence: str) -> str:
    """Write the module of a command."""
    told = draft.sentence or sentence
    methods = _methods(draft)
    body = "\n".join(method.text for method in methods)
    return (
        f'"""{_docstring(told)}"""\n\n{_imports(draft, body)}\n\n\n'
        f'{_decorator(draft, version, timestamp)}\nclass {class_name}:\n{_INDENT}"""{_docstring(told)}"""\n\n{body}'
    )


def _docstring(sentence: str) -> str:
    plain = sentence.replace("\\", "\\\\").replace('"', "'")
    room = LINE_LENGTH - 10
    return plain if len(plain) <= room else plain[: room - 2].rsplit(" ", 1)[0].rstrip(",") + " …"


def _imports(draft: Draft, body: str) -> str:
    alchemy = [name for name in ("Connection", "text") if re.search(rf"\b{name}[()]", body)]
    ours = [
        name
        for name in (
            "DataMigrationContext",
            "IrreversibleError",
            "WorkspaceContext",
            "create_index_concurrently",
            "drop_index_concurrently",
            "set_not_null",
        )
        if name in body
    ]
    ours.append("workspace_command" if draft.kind is CommandKind.WORKSPACE else "instance_command")
    lines = [f"from sqlalchemy import {', '.join(alchemy)}"] if alchemy else []
    ours.sort()
    line = f"from upgrader import {', '.join(ours)}"
    if len(line) > LINE_LENGTH:
        line = "from upgrader import (\n" + "".join(f"{_INDENT}{one},\n" for one in ours) + ")"
    return "\n".join([*lines, line])


def _decorator(draft: Draft, version: str, timestamp: int) -> str:
    name = "workspace_command" if draft.kind is CommandKind.WORKSPACE else "instance_command"
    flags = ', type="slow"' if draft.kind is CommandKind.SLOW else ""
    flags += "" if draft.transactional else ", transactional=False"
    return f'@{name}("{version}", {timestamp}{flags})'


def _methods(draft: Draft) -> list[_Method]:
    connection = "ctx.connection" if draft.kind is CommandKind.WORKSPACE else "connection"
    if isinstance(draft.body, IndexChange):
        up, down = _create_index(draft.body, connection), _drop_index(draft.body, connection)
        pair = (down, up) if draft.drops else (up, down)
        return _up_and_down(draft, *pair)
    required = [one for one in draft.body if isinstance(one, RequiredColumn)]
    if required:
        migration = _Method("run_data_migration", "ctx", "DataMigrationContext", _fill(required))
        return [migration, *_up_and_down(draft, *_set_not_null(required, connection))]
    changes = [one for one in draft.body if isinstance(one, Change)]
    return _up_and_down(draft, _up(changes, connection), _down(changes, connection))


def _up_and_down(draft: Draft, up: str, down: str) -> list[_Method]:
    if draft.kind is CommandKind.WORKSPACE:
        names, parameter, type_ = ("run_on_workspace", "down_on_workspace"), "ctx", "WorkspaceContext"
    else:
        names, parameter, type_ = ("up", "down"), "connection", "Connection"
    bodies = zip(names, (up, down), strict=True)
    return [_Method(name, parameter, type_, body) for name, body in bodies]


def _up(changes: Sequence[Change], connection: str) -> str:
    lines: list[str] = []
    for change in changes:
        if change.note:
            lines.append(f"{_INDENT * 2}# {change.note}")
        lines += _statements(change.up, connection)
    return "\n".join(lines)


def _down(changes: Sequence[Change], connection: str) -> str:
    lost = [change.lost for change in reversed(changes) if change.lost]
    statements = [one for change in reversed(changes) for one in _statements(change.down, connection)]
    if not lost:
        # VALIDATE leaves nothing behind that could be taken back.
        return (
            "\n".join(statements)
            or f'{_INDENT * 2}"""Nothing is to be done: the rows were only looked at."""'
        )
    raising = [f"{_INDENT * 2}raise IrreversibleError({_wrapped(lost)})"]
    if statements:
        note = "Take this out to bring the shape back without what is lost."
        raising.insert(0, f"{_INDENT * 2}# {note}")
    return "\n".join([*raising, *statements])


def _wrapped(sentences: Sequence[str]) -> str:
    """Write the message of an error: on one line, or one sentence per line."""
    one = python_string(" ".join(sentences))
    if len(one) + 33 <= LINE_LENGTH:
        return one
    pieces = [python_string(sentence + " ") for sentence in sentences[:-1]]
    pieces.append(python_string(sentences[-1]))
    return "\n" + "".join(f"{_INDENT * 3}{piece}\n" for piece in pieces) + _INDENT * 2


def _statements(statements: Iterable[str], connection: str) -> list[str]:
    return [execute_statement(one, connection=connection) for one in statements]


def _create_index(index: IndexChange, connection: str) -> str:
    definition = index.definition
    arguments = [
        connection,
        python_string(index.name),
        f"table={python_string(index.table)}",
        f"columns=[{', '.join(map(python_string, definition.columns))}]",
    ]
    if definition.is_unique:
        arguments.append("unique=True")
    if definition.method:
        arguments.append(f"method={python_string(definition.method)}")
    if definition.include:
        arguments.append(f"include=[{', '.join(map(python_string, definition.include))}]")
    if definition.nulls_not_distinct:
        arguments.append("nulls_not_distinct=True")
    for name, value in (
        ("parameters", definition.parameters),
        ("tablespace", definition.tablespace),
        ("where", definition.where),
    ):
        if value:
            arguments.append(f"{name}={python_string(value)}")
    return _call("create_index_concurrently", arguments)


def _drop_index(index: IndexChange, connection: str) -> str:
    table = f"table={python_string(index.table)}"
    return _call("drop_index_concurrently", [connection, python_string(index.name), table])


def _call(name: str, arguments: Sequence[str]) -> str:
    line = f"{_INDENT * 2}{name}({', '.join(arguments)})"
    if len(line) <= LINE_LENGTH:
        return line
    inner = "".join(f"{_INDENT * 3}{one},\n" for one in arguments)
    return f"{_INDENT * 2}{name}(\n{inner}{_INDENT * 2})"


def _fill(columns: Sequence[RequiredColumn]) -> str:
    """Write the data migration: a place for the author; `set_not_null` makes sure that no row was left."""
    lines: list[str] = []
    for one in columns:
        arguments = ", ".join(
            [
                python_string(one.table),
                f'set_={{{python_string(one.column)}: "…"}}',
                f"where={python_string(f'{one.column} IS NULL')}",
            ]
        )
        lines += [
            f"{_INDENT * 2}# TODO: give every row of {one.table} a value, for example",
            f"{_INDENT * 2}#   ctx.backfill({arguments})",
        ]
    lines.append(f"{_INDENT * 2}# It has to be repeatable. set_not_null() fails while rows are left.")
    return "\n".join([*lines, f"{_INDENT * 2}pass"])


def _set_not_null(columns: Sequence[RequiredColumn], connection: str) -> tuple[str, str]:
    up = [
        _call("set_not_null", [connection, python_string(one.table), python_string(one.name)])
        for one in columns
    ]
    down = [f"ALTER TABLE {one.table} ALTER COLUMN {one.column} DROP NOT NULL" for one in columns]
    return "\n".join(up), "\n".join(_statements(down, connection))
