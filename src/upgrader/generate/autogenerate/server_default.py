"""Whether a column's default is the wanted one: the server writes both, and the two texts are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection
from sqlalchemy.exc import DBAPIError

from upgrader.generate.autogenerate.sql_writer import SqlWriter

_PROBE = "upgrader_default"
_READ = f"""
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'pg_temp.{_PROBE}'::regclass
"""


def default_comparison(connection: Connection, writer: SqlWriter) -> Callable[..., bool]:
    """Give what Alembic asks; its own comparison ends with an error where a default has an apostrophe."""

    def is_different(
        context: object,
        live: Column[Any],
        wanted: Column[Any],
        live_default: str | None,
        wanted_default: object,
        rendered: str | None,
    ) -> bool:
        del context, live, wanted_default, rendered
        expression = writer.default(wanted)
        if live_default is None or not expression:
            # A serial column has a default that nobody wrote.
            return bool(expression) or (live_default is not None and not _is_serial(wanted, live_default))
        return (
            expression != live_default and _canonical(connection, writer, wanted, expression) != live_default
        )

    return is_different


def _is_serial(column: Column[Any], live_default: str) -> bool:
    table = column.table
    return table is not None and table.autoincrement_column is column and live_default.startswith("nextval(")


def _canonical(connection: Connection, writer: SqlWriter, column: Column[Any], expression: str) -> str:
    """Have the server write a default its own way; the expression itself where it cannot."""
    try:
        with connection.begin_nested() as savepoint:
            connection.exec_driver_sql(
                f"create temp table {_PROBE} (c {writer.type(column.type)} default {expression})",
                execution_options={"no_parameters": True},
            )
            found = connection.exec_driver_sql(_READ).scalar()
            savepoint.rollback()
    except DBAPIError:  # of a type that is not there yet, for example
        return expression
    return str(found)
