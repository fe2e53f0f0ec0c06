"""What the history proves about the code: which code completed a step, and what marks passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import InvalidVersionError
from upgrader.history.layout import read_layout_version
from upgrader.model import Enrolment
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class Completion:
    """Code that completed a step, in as many scopes as say so by their latest attempt.

    Attributes:
        executed_by_version: by which version of the application it was run, the last time.
        finished_at: when it was run, the last time.
    """

    name: str
    checksum: str
    scopes: int
    executed_by_version: str
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A step that marks counted as done before it was written.

    Attributes:
        workspaces: in how many workspaces; 0 where it is the instance.
        marked_at: when the last of the marks was set.
    """

    name: str
    workspaces: int
    marked_at: datetime


@dataclass(frozen=True, slots=True)
class WrittenStep:
    """A step, for a look at marks: what it belongs to and when it was written."""

    name: str
    is_workspace: bool
    version: ReleaseVersion
    written_at: datetime


class HistoryEvidence:
    """Reads the history for `check`. Never writes."""

    def __init__(self, driver: psycopg.Connection[Any], schema: str) -> None:
        """Read nothing yet."""
        self._driver = driver
        self._schema = schema
        self._history = identifier(schema, "history").replace("%", "%%")

    def completions(self) -> tuple[Completion, ...]:
        """Give the code that completed each step; nothing without a history."""
        if read_layout_version(self._driver, self._schema) is None:
            return ()
        rows = self._driver.execute(
            "select name, checksum, count(*), (array_agg(executed_by_version order by id desc))[1],"
            " max(coalesce(finished_at, started_at)) from (select distinct on (coalesce(workspace_id, ''), name) *"
            f" from {self._history} where not is_initial order by coalesce(workspace_id, ''), name, attempt desc) h"
            " where status = 'completed' group by name, checksum order by name, max(id)".encode(),
            [],
        ).fetchall()
        return tuple(Completion(*row) for row in rows)

    def passed_over(self, steps: Sequence[WrittenStep]) -> tuple[PassedOver, ...]:
        """Give those of the steps that a mark covers which is older than they are, and that were never tried there."""
        if read_layout_version(self._driver, self._schema) is None:
            return ()
        marks = self._mark_versions()
        found: list[PassedOver] = []
        for step in steps:
            covering = [text for text, mark in marks.items() if mark.covers(step.version)]
            if covering:
                found.extend(self._passed_over(step, covering))
        return tuple(found)

    def _passed_over(self, step: WrittenStep, covering: list[str]) -> list[PassedOver]:
        """Look at the first mark of each scope that covers the step: since then it counts as done there."""
        row = self._driver.execute(
            "select count(*), max(marked_at) from (select workspace_id, min(started_at) marked_at"
            f" from {self._history} m where is_initial and version = any(%s) and (workspace_id is not null) = %s"
            f" and not exists (select from {self._history} a where coalesce(a.workspace_id, '') ="
            " coalesce(m.workspace_id, '') and a.name = %s and not a.is_initial)"
            " group by workspace_id) s where marked_at < %s".encode(),
            [covering, step.is_workspace, step.name, step.written_at],
        ).fetchone()
        if row is None or not row[0]:
            return []
        count, marked_at = row
        return [PassedOver(step.name, count if step.is_workspace else 0, marked_at)]

    def _mark_versions(self) -> dict[str, Enrolment]:
        rows = self._driver.execute(
            f"select distinct version from {self._history} where is_initial and version <> 'start'".encode(),
            [],
        ).fetchall()
        return {text: mark for (text,) in rows if (mark := _enrolment(text)) is not None}


def _enrolment(text: str) -> Enrolment | None:
    try:
        return Enrolment.parse(text)
    except InvalidVersionError:  # written by hand: it covers nothing
        return None
