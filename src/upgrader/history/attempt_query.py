"""The SQL that asks for attempts, newest first: on an index for each question, however long the history is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from upgrader.database.connect import identifier
from upgrader.history.rows import ATTEMPT_COLUMNS
from upgrader.history.step_codes import StepCode, read_step_codes
from upgrader.history.store import AttemptFilter
from upgrader.model import AttemptStatus

_STEP = re.compile(r"[^_]+_(?P<class_name>.*)_(?P<timestamp>[0-9]+)", re.DOTALL)
# A stretch of the index from its end: of two equalities the planner would expect so few rows that it sorts them.
_OF_STEPS = """
select {columns} from unnest(%s::bigint[], %s::bigint[]) wanted (step, code) cross join lateral (
    select * from {history} h
     where ({digest}(h.name), {digest}(h.checksum), h.id) >= (wanted.step, wanted.code, 0::bigint)
       and ({digest}(h.name), {digest}(h.checksum), h.id) <= (wanted.step, wanted.code, 9223372036854775807){more}
     order by {digest}(h.name) desc, {digest}(h.checksum) desc, h.id desc{limit}
) found where name = any(%s) order by id desc{limit}
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
        self._schema = schema
        # In statements with parameters psycopg takes % for the place of one.
        self._history = identifier(schema, "history").replace("%", "%%")
        self._digest = identifier(schema, "digest").replace("%", "%%")

    def of(self, wanted: AttemptFilter, driver: psycopg.Connection) -> AttemptQuery | None:
        """Give the query for a filter; None where no step is called so. Reads the names of steps, if need be."""
        limit = f" limit {wanted.limit}" if wanted.limit is not None else ""
        codes = self._codes(wanted.step, driver) if wanted.step is not None else None
        if codes is not None and not codes:
            return None
        names = None if codes is None else sorted({code.name for code in codes})
        if wanted.workspace_id is not None or wanted.instance_only:
            return self._of_scope(wanted, names, limit)
        if codes is not None and wanted.status in (None, AttemptStatus.COMPLETED):
            return self._of_steps(wanted, codes, limit)
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

    def _of_steps(self, wanted: AttemptFilter, codes: Sequence[StepCode], limit: str) -> AttemptQuery:
        status = [wanted.status.value] if wanted.status else []
        text = _OF_STEPS.format(
            columns=ATTEMPT_COLUMNS,
            history=self._history,
            digest=self._digest,
            more=" and h.status = %s" if status else "",
            limit=limit,
        )
        steps, checksums = [code.step_digest for code in codes], [code.code_digest for code in codes]
        return AttemptQuery(text, [steps, checksums, *status, sorted({code.name for code in codes})])

    def _codes(self, step: str, driver: psycopg.Connection) -> list[StepCode]:
        return [code for code in read_step_codes(driver, self._schema) if _is_called(step, code.name)]


def _is_called(step: str, name: str) -> bool:
    """Tell whether a full name, class name or timestamp means a step; only a class name may hold more underscores."""
    parts = _STEP.fullmatch(name)
    return name == step or (parts is not None and step in (parts["class_name"], parts["timestamp"]))


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
