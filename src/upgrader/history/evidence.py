"""What the history proves about the code: which code completed a step, and what marks passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import InvalidVersionError
from upgrader.history.layout import read_layout_version
from upgrader.history.step_codes import read_step_codes
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
        self._digest = identifier(schema, "digest").replace("%", "%%")

    def completed_otherwise(self, checksums: Mapping[str, str]) -> tuple[Completion, ...]:
        """Give the code that completed steps where it is not the code that they have now; nothing without a history.

        Only attempts by other code are looked at: none, mostly, however long the history is.

        Args:
            checksums: what the steps have now, by name; of others nothing is told.
        """
        if read_layout_version(self._driver, self._schema) is None:
            return ()
        codes = read_step_codes(self._driver, self._schema)
        others = {
            code.name: code.step_digest
            for code in codes
            if code.checksum and checksums.get(code.name, code.checksum) != code.checksum
        }
        return tuple(
            Completion(name, *row)
            for name, digest in sorted(others.items())
            for row in self._completions(name, digest, but=checksums[name])
        )

    def _completions(self, name: str, digest: int, *, but: str) -> list[tuple[Any, ...]]:
        """Count the scopes of each code of a step, as their latest attempts have it, one code left out."""
        return self._driver.execute(
            "select checksum, count(*), (array_agg(executed_by_version order by id desc))[1],"
            " max(coalesce(finished_at, started_at)) from (select distinct on (workspace_id) * from"
            # Apart, so that nobody looks for the name in the index of all scopes, too.
            f" (select * from {self._history} where {self._digest}(name) = %s offset 0) tries where name = %s"
            " and not is_initial and forgotten_at is null order by workspace_id, attempt desc) latest"
            " where status = 'completed' and checksum <> %s group by checksum order by max(id)".encode(),
            [digest, name, but],
        ).fetchall()

    def passed_over(self, steps: Sequence[WrittenStep]) -> tuple[PassedOver, ...]:
        """Give those of the steps that a mark covers which is older than they are, and that were never tried there."""
        if read_layout_version(self._driver, self._schema) is None:
            return ()
        marks = self._marks()
        found: list[PassedOver] = []
        for step in steps:
            covering = [
                mark.text for mark in marks if mark.covers(step.version) and mark.first_at < step.written_at
            ]
            if covering:
                found.extend(self._passed_over(step, covering))
        return tuple(found)

    def _passed_over(self, step: WrittenStep, covering: list[str]) -> list[PassedOver]:
        """Look at the marks that cover the step and are older: since the first of them it counts as done there."""
        row = self._driver.execute(
            "select count(*), max(marked_at) from (select workspace_id, min(started_at) marked_at"
            f" from {self._history} m where is_initial and version = any(%s) and started_at < %s"
            " and (workspace_id is not null) = %s and forgotten_at is null"
            f" and not exists (select from {self._history} a where coalesce(a.workspace_id, '') ="
            " coalesce(m.workspace_id, '') and a.name = %s and not a.is_initial and a.forgotten_at is null)"
            " group by workspace_id) s".encode(),
            [covering, step.written_at, step.is_workspace, step.name],
        ).fetchone()
        if row is None or not row[0]:
            return []
        count, marked_at = row
        return [PassedOver(step.name, count if step.is_workspace else 0, marked_at)]

    def _marks(self) -> list[_Mark]:
        """Give the versions of all marks, each with the time of its first one."""
        rows = self._driver.execute(
            f"select version, min(started_at) from {self._history}"
            " where is_initial and version <> 'start' group by version".encode(),
            [],
        ).fetchall()
        found = ((text, _enrolment(text), first_at) for text, first_at in rows)
        return [_Mark(text, mark, first_at) for text, mark, first_at in found if mark is not None]


@dataclass(frozen=True, slots=True)
class _Mark:
    """The marks at one version."""

    text: str
    enrolment: Enrolment
    first_at: datetime

    def covers(self, version: ReleaseVersion) -> bool:
        return self.enrolment.covers(version)


def _enrolment(text: str) -> Enrolment | None:
    try:
        return Enrolment.parse(text)
    except InvalidVersionError:  # written by hand: it covers nothing
        return None
