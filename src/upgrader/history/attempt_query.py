"""The SQL that asks for attempts, newest first: on an index for each question, however long the history is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from upgrader.database.connect import identifier
from upgrader.history.rows import ATTEMPT_COLUMNS
from upgrader.history.store import AttemptFilter
from upgrader.model import AttemptStatus

_STEP = re.compile(r"[^_]+_(?P<class_name>.*)_(?P<timestamp>[0-9]+)", re.DOTALL)
# From one digest to the next: as many looks into the index as there are steps, not as there are attempts.
_NAMES = """
with recursive known (digest) as (
    select min({digest}(name)) from {history}
    union all
    select (select min({digest}(h.name)) from {history} h where {digest}(h.name) > known.digest)
      from known where known.digest is not null
)
select (select h.name from {history} h where {digest}(h.name) = known.digest limit 1)
  from known where known.digest is not null
"""
_OF_STEPS = """
select {columns} from unnest(%s::text[]) wanted cross join lateral (
    select * from {history} h where {digest}(h.name) = {digest}(wanted) and h.name = wanted{more}
     order by h.id desc{limit}
) found order by id desc{limit}
"""


@dataclass(frozen=True, slots=True)
class AttemptQuery:
    """A query with its parameters; it gives `ATTEMPT_COLUMNS`."""

    text: str
    values: Sequence[Any]


class AttemptQueries:
    """Makes the queries of one history."""

    def __init__(self, schema: str) -> None:
        """Take the history schema."""
        # In statements with parameters psycopg takes % for the place of one.
        self._history = identifier(schema, "history").replace("%", "%%")
        self._digest = identifier(schema, "digest").replace("%", "%%")

    def of(self, wanted: AttemptFilter, driver: psycopg.Connection) -> AttemptQuery | None:
        """Give the query for a filter; None where no step is called so. Reads the names of steps, if need be."""
        limit = f" limit {wanted.limit}" if wanted.limit is not None else ""
        names = self._names(wanted.step, driver) if wanted.step is not None else None
        if names is not None and not names:
            return None
        if wanted.workspace_id is not None or wanted.instance_only:
            return self._of_scope(wanted, names, limit)
        if names is not None and wanted.status in (None, AttemptStatus.COMPLETED):
            return self._of_steps(wanted, names, limit)
        more, values = _filters(wanted, names)
        where = f" where {more}" if more else ""
        return AttemptQuery(
            f"select {ATTEMPT_COLUMNS} from {self._history}{where} order by id desc{limit}", values
        )

    def _of_scope(self, wanted: AttemptFilter, names: Sequence[str] | None, limit: str) -> AttemptQuery:
        """Ask for the living and the forgotten apart: each has an index of its own."""
        more, values = _filters(wanted, names)
        more = f" and {more}" if more else ""
        living = f"coalesce(workspace_id, '') = %s and forgotten_at is null{more}"
        forgotten = f"workspace_id = %s and forgotten_at is not null{more}"
        scope = [wanted.workspace_id or "", *values]
        return AttemptQuery(
            f"select {ATTEMPT_COLUMNS} from {self._history} where {living}"
            f" union all select {ATTEMPT_COLUMNS} from {self._history} where {forgotten} order by id desc{limit}",
            [*scope, *scope],
        )

    def _of_steps(self, wanted: AttemptFilter, names: Sequence[str], limit: str) -> AttemptQuery:
        status = wanted.status
        text = _OF_STEPS.format(
            columns=ATTEMPT_COLUMNS,
            history=self._history,
            digest=self._digest,
            more=" and h.status = %s" if status else "",
            limit=limit,
        )
        return AttemptQuery(text, [list(names), *([status.value] if status else [])])

    def _names(self, step: str, driver: psycopg.Connection) -> list[str]:
        """Give the full names of the steps that are called so."""
        rows = driver.execute(_NAMES.format(history=self._history, digest=self._digest).encode(), [])
        return _called(step, (name for (name,) in rows))


def _called(step: str, names: Iterable[str]) -> list[str]:
    """Choose by full name, class name or timestamp; only a class name may hold more underscores."""
    found = []
    for name in names:
        parts = _STEP.fullmatch(name)
        if name == step or (parts and step in (parts["class_name"], parts["timestamp"])):
            found.append(name)
    return found


def _filters(wanted: AttemptFilter, names: Sequence[str] | None) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if wanted.status is not None:
        conditions.append("status = %s")
        values.append(wanted.status.value)
    if names is not None:
        conditions.append("name = any(%s)")
        values.append(list(names))
    return " and ".join(conditions), values
