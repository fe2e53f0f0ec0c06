"""Folding attempts that decide nothing any more: of tries that failed one after the other the last one stays.

    1 failed · 2 failed · 3 failed · 4 completed        3 failed (and 2 before it) · 4 completed
    1 failed · 2 reverted · 3 failed · 4 failed         1 failed · 2 reverted · 4 failed (and 1 before it)

What stays of a row of tries is of their direction and says as much of the state as they did, so whatever is read of
the history (the latest attempt, whether a step was taken back, what went up since when, the next number) stays as it
is. Safe beside a run and beside the application: no row that either of them changes is touched, no row of `scope` is
locked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg

from upgrader.database.connect import identifier, literal
from upgrader.history.keys import LockKeys
from upgrader.history.layout import read_layout_version
from upgrader.model import AttemptStatus

_FOLDED = (AttemptStatus.FAILED, AttemptStatus.INTERRUPTED, AttemptStatus.SKIPPED)
_BATCH = 2000
# A stretch is a row of old tries in vain between two attempts that are not: of each, the last one is kept.
_STRETCHES = """
with seen as (
    select id, coalesce(workspace_id, '') as scope, name from {history}
    where status = %(status)s and id > %(after)s order by id limit {batch}
), touched as (
    select distinct scope, name from seen where name <> all(%(spared)s)
), tries as (
    select h.id, t.scope, t.name, h.attempt, h.folded, coalesce(h.folded_since, h.started_at) as since, h.direction,
        h.changes_state, h.status = any(%(statuses)s) and coalesce(h.finished_at, h.started_at) < %(before)s as is_old
    from touched t join {history} h on coalesce(h.workspace_id, '') = t.scope and h.name = t.name
    where h.forgotten_at is null and not h.is_initial
), begun as (
    select *, is_old and not coalesce(lag(is_old) over w and lag(direction) over w = direction
        and lag(changes_state) over w = changes_state, false) as begins
    from tries window w as (partition by scope, name order by attempt)
), numbered as (
    select *, count(*) filter (where begins) over (partition by scope, name order by attempt) as stretch from begun
), stretches as (
    select (array_agg(id order by attempt desc))[1] as kept, array_agg(id) as ids,
        sum(folded) + count(*) - 1 as folded, min(since) as since
    from numbered where is_old group by scope, name, stretch having count(*) > 1
)
"""
_FOLD = (
    _STRETCHES
    + """, gone as (
    delete from {history} where id in (select unnest(ids) from stretches except select kept from stretches)
    returning 1
), marked as (
    update {history} h set folded = s.folded, folded_since = s.since from stretches s where h.id = s.kept returning 1
)
select (select max(id) from seen), (select count(*) from gone), (select count(*) from marked)
"""
)
# Nothing goes, so each try is looked at by itself: does the one after it go on with its stretch, or the one before?
_COUNT = """
with seen as (
    select *, coalesce(finished_at, started_at) < %(before)s and forgotten_at is null and not is_initial
        and name <> all(%(spared)s) as is_old
    from {history} where status = %(status)s and id > %(after)s order by id limit {batch}
), known as (
    select coalesce((select {goes_on} from {history} h where {beside} and h.attempt > seen.attempt
                      order by h.attempt limit 1), false) as goes_on,
        coalesce((select {goes_on} from {history} h where {beside} and h.attempt < seen.attempt
                   order by h.attempt desc limit 1), false) as came_on
    from seen where is_old
)
select (select max(id) from seen), count(*) filter (where goes_on), count(*) filter (where came_on and not goes_on)
from known
"""
_GOES_ON = """
h.status = any(%(statuses)s) and coalesce(h.finished_at, h.started_at) < %(before)s
    and h.direction = seen.direction and h.changes_state = seen.changes_state
"""
_BESIDE = """
coalesce(h.workspace_id, '') = coalesce(seen.workspace_id, '') and h.name = seen.name
    and h.forgotten_at is null and not h.is_initial
"""


@dataclass(frozen=True, slots=True)
class Folded:
    """What was folded.

    Attributes:
        attempts: rows that are gone.
        kept: rows that stand for them; each says how many.
    """

    attempts: int = 0
    kept: int = 0

    def __add__(self, other: Folded) -> Folded:
        return Folded(self.attempts + other.attempts, self.kept + other.kept)


class HistoryFolding:
    """Folds in batches, each a short transaction of its own: whoever is killed goes on where it was."""

    def __init__(self, driver: psycopg.Connection, schema: str) -> None:
        """Touch nothing yet.

        Args:
            driver: in autocommit.
        """
        self._driver = driver
        self._schema = schema
        self._history = identifier(schema, "history").replace("%", "%%")

    def fold(self, *, before: datetime, spared: Collection[str] = (), is_trial: bool = False) -> Folded:
        """Fold attempts that ended before a time.

        Args:
            spared: full names of steps whose attempts all stay.
            is_trial: only count.
        """
        return sum(self.batches(before=before, spared=spared, is_trial=is_trial), Folded())

    def batches(
        self, *, before: datetime, spared: Collection[str] = (), is_trial: bool = False
    ) -> Iterator[Folded]:
        """Do the same batch by batch; nothing without a history."""
        if read_layout_version(self._driver, self._schema) is None:
            return
        for status in _FOLDED:
            after: int | None = 0
            while after is not None:
                after, attempts, kept = self._batch(status, after, before, list(spared), is_trial=is_trial)
                yield Folded(attempts, kept)

    def _batch(
        self, status: AttemptStatus, after: int, before: datetime, spared: list[str], *, is_trial: bool
    ) -> tuple[int | None, int, int]:
        """Look at the next tries that came to `status`; give the last one's id, and what was folded."""
        query = (_COUNT if is_trial else _FOLD).format(
            history=self._history, batch=_BATCH, goes_on=_GOES_ON, beside=_BESIDE
        )
        values = {
            "status": status.value,
            "statuses": [one.value for one in _FOLDED],
            "after": after,
            "before": before,
            "spared": spared,
        }
        with self._driver.transaction():
            # Of two at once the second looks when the first has committed.
            self._driver.execute(
                f"select pg_advisory_xact_lock({literal(LockKeys.of(self._schema).folding)}),"
                " set_config('upgrader.folding', 'on', true)".encode()
            )
            row = self._driver.execute(query.encode(), values).fetchone()
        assert row is not None
        return row
