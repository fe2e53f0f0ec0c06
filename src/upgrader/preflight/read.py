"""Reading the facts: one query, one message."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from upgrader.database.message import send_message
from upgrader.preflight.facts import (
    Capacity,
    Facts,
    IdleSlot,
    InvalidIndex,
    OpenTransaction,
    PreparedTransaction,
    Privileges,
    Some,
    Vacuum,
    WorkspaceTable,
)

if TYPE_CHECKING:
    import psycopg

    from upgrader.preflight.query import Question

T = TypeVar("T")
Document = Mapping[str, Any]


def read_facts(
    driver: psycopg.Connection, question: Question, *, redact: Callable[[str], str] = str
) -> Facts:
    """Ask the server, in one message; writes nothing and takes no lock of its own.

    Args:
        redact: takes secrets out of the queries of others, before they are cut.
    """
    row = send_message(driver, question.sql)
    assert row is not None
    assert row[0] is not None
    return facts_of(_without_secrets(json.loads(row[0]), redact))


def facts_of(found: Document) -> Facts:
    """Put what the query gave into values."""
    table = found.get("workspace_table")
    return Facts(
        database=found["database"],
        user=found["user"],
        version=found["version"],
        backend_pid=found["backend_pid"],
        is_standby=found["is_standby"],
        standby_of=found["standby_of"],
        read_only_by=found["read_only_by"],
        privileges=Privileges(**found["privileges"]),
        workspace_table=WorkspaceTable(table["name"], tuple(table["filters"])) if table else None,
        transactions=_some(OpenTransaction, found["transactions"]),
        prepared=_some(PreparedTransaction, found["prepared"]),
        vacuums=_some(Vacuum, found["vacuums"]),
        indexes=_some(InvalidIndex, found["indexes"]),
        slots=_some(IdleSlot, found["slots"]),
        capacity=Capacity(**found["capacity"]) if found["capacity"] else None,
    )


def _without_secrets(found: dict[str, Any], redact: Callable[[str], str]) -> Document:
    for kind in ("transactions", "vacuums"):
        for one in found[kind]["shown"] or ():
            one["query"] = redact(one["query"] or "")
    return found


def _some(kind: Callable[..., T], found: Document) -> Some[T]:
    return Some(tuple(kind(**one) for one in found["shown"] or ()), found["count"])
