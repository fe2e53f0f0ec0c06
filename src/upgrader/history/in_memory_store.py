"""A history without a database, for tests: what depends on a history store may be handed this one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from upgrader.errors import RunSupersededError
from upgrader.history.store import AttemptFilter, HistorySnapshot
from upgrader.model import (
    Attempt,
    AttemptStatus,
    Direction,
    Enrolment,
    Progress,
    Quarantine,
    Scope,
)
from upgrader.version import ReleaseVersion

_ProgressKey = tuple[object, ...]


class InMemoryHistoryStore:
    """A history that is forgotten with its object; the same suite holds it and the SQL store to one behaviour.

    Attributes:
        exists: False acts as a database without a history, for as long as nothing is written.
    """

    def __init__(
        self, *, exists: bool = True, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.exists = exists
        self._clock = clock
        self._rows: list[Attempt] = []
        self._places: dict[Scope, dict[tuple[str, int], int]] = {}
        self._through: dict[Scope, ReleaseVersion | None] = {}
        self._quarantined: dict[str, Quarantine] = {}

    def snapshot(self) -> HistorySnapshot:
        """Read how far every scope is."""
        shared: dict[_ProgressKey, Progress] = {}
        progress = {scope: self._progress(scope, shared) for scope in self._places if self._is_known(scope)}
        instance = progress.pop(Scope(), Progress())
        workspaces = {
            scope.workspace_id: each for scope, each in progress.items() if scope.workspace_id is not None
        }
        return HistorySnapshot(self.exists, instance, workspaces, self._aged())

    def _aged(self) -> dict[str, Quarantine]:
        now = self._clock()
        return {
            workspace_id: replace(each, age_seconds=(now - each.since).total_seconds())
            for workspace_id, each in self._quarantined.items()
        }

    def attempts(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        """Give attempts, newest first."""
        found = [row for row in reversed(self._rows) if _is_wanted(row, wanted)]
        yield from found if wanted.limit is None else found[: wanted.limit]

    def latest_open(self, scopes: Iterable[Scope], *, step: str | None = None) -> Iterator[Attempt]:
        """Give the latest attempt of each step that was tried and is not completed, in these scopes."""
        for scope in dict.fromkeys(scopes):
            for row in self._latest(scope):
                if row.status is not AttemptStatus.COMPLETED and step in (None, row.name):
                    yield row

    def last_attempt(self, name: str, scope: Scope) -> int:
        """Give the number of the latest attempt; 0 where there is none."""
        numbers = (number for row_name, number in self._places.get(scope, {}) if row_name == name)
        return max(numbers, default=0)

    def latest_status(self, name: str, scope: Scope) -> AttemptStatus | None:
        """Give what the latest attempt at a step came to; None where there is none that counts."""
        return next((row.status for row in self._latest(scope) if row.name == name), None)

    def start(self, attempt: Attempt) -> bool:
        """Keep a `running` row; False where the workspace's id lives another life by now.

        Raises:
            RunSupersededError: the attempt is recorded already.
        """
        if self._lives_anew(attempt):
            return False
        self._insert(replace(attempt, finished_at=None))
        return True

    def finish(self, attempt: Attempt, *, is_running: bool) -> None:
        """Keep the outcome of an attempt.

        Raises:
            RunSupersededError: the attempt is recorded already, or its `running` row is not there any more.
        """
        if not is_running:
            ended = self._clock() if self._lives_anew(attempt) else None
            self._insert(replace(attempt, finished_at=self._clock(), forgotten_at=ended))
            return
        place = self._find(attempt)
        if place is None or self._rows[place].status is not AttemptStatus.RUNNING:
            raise RunSupersededError(
                f"the running attempt {attempt.attempt} of {attempt.name} is not there any more"
            )
        self._rows[place] = replace(
            self._rows[place],
            status=attempt.status,
            error_message=attempt.error_message,
            finished_at=self._clock(),
        )

    def interrupt_running(self) -> int:
        """Turn each `running` row into `interrupted`; give their number."""
        running = [place for place, row in enumerate(self._rows) if row.status is AttemptStatus.RUNNING]
        for place in running:
            self._rows[place] = replace(
                self._rows[place],
                status=AttemptStatus.INTERRUPTED,
                error_message="the run that executed this attempt ended before it did",
                finished_at=self._clock(),
            )
        return len(running)

    def mark(self, enrolment: Enrolment, scopes: Iterable[Scope], *, label: str, executed_by: str) -> int:
        """Keep one mark for each scope; a scope that has this very mark already is left alone."""
        name = f"{enrolment.text}_{label}"
        new = [scope for scope in dict.fromkeys(scopes) if self.last_attempt(name, scope) == 0]
        for scope in new:
            kind = "fast-instance" if scope.is_instance else "workspace"
            mark = Attempt(name, kind, enrolment.text, scope, AttemptStatus.COMPLETED, 1, executed_by, "")
            self._insert(replace(mark, is_initial=True, finished_at=self._clock()))
        return len(new)

    def record_through(self, through: Mapping[Scope, ReleaseVersion | None]) -> None:
        """Record how far scopes are; a scope without any row is left out."""
        self._through.update({scope: version for scope, version in through.items() if self._is_known(scope)})

    def quarantine(
        self, workspace_ids: Iterable[str], *, reason: str, by: str, executed_by: str
    ) -> Collection[str]:
        """Set workspaces aside; those that are already keep their reason."""
        new = [one for one in dict.fromkeys(workspace_ids) if one not in self._quarantined]
        made = Quarantine(reason, by, self._clock(), executed_by)
        self._quarantined.update(dict.fromkeys(new, made))
        self.exists = True
        return set(new)

    def release(self, workspace_ids: Iterable[str]) -> Collection[str]:
        """Bring workspaces back."""
        return {one for one in workspace_ids if self._quarantined.pop(one, None) is not None}

    def forget(self, workspace_id: str) -> bool:
        """End the history of a workspace; its attempts stay, marked."""
        places = self._places.pop(Scope(workspace_id), {})
        for place in places.values():
            self._rows[place] = replace(self._rows[place], forgotten_at=self._clock())
        self._through.pop(Scope(workspace_id), None)
        return self._quarantined.pop(workspace_id, None) is not None or bool(places)

    def _life(self, scope: Scope) -> int:
        """Count the marks that were forgotten with earlier lives of a workspace's id."""
        return sum(
            row.is_initial and row.forgotten_at is not None and row.scope == scope for row in self._rows
        )

    def _lives_anew(self, attempt: Attempt) -> bool:
        is_enrolled = any(row.is_initial for row in self._of(attempt.scope))
        return attempt.life is not None and is_enrolled and self._life(attempt.scope) != attempt.life

    def _insert(self, attempt: Attempt) -> None:
        places = self._places.setdefault(attempt.scope, {}) if attempt.forgotten_at is None else {}
        key = (attempt.name, attempt.attempt)
        if key in places:
            raise RunSupersededError(f"attempt {attempt.attempt} of {attempt.name} is recorded already")
        self.exists = True
        places[key] = len(self._rows)
        started = attempt.started_at or self._clock()
        self._rows.append(replace(attempt, id=len(self._rows) + 1, started_at=started))

    def _find(self, wanted: Attempt) -> int | None:
        key = (wanted.scope, wanted.name, wanted.attempt)
        forgotten = (
            place
            for place, row in enumerate(self._rows)
            if row.forgotten_at and (row.scope, row.name, row.attempt) == key
        )
        running = (place for place in forgotten if self._rows[place].status is AttemptStatus.RUNNING)
        return self._places.get(wanted.scope, {}).get((wanted.name, wanted.attempt), next(running, None))

    def _of(self, scope: Scope) -> Iterator[Attempt]:
        return (self._rows[place] for place in self._places.get(scope, {}).values())

    def _is_known(self, scope: Scope) -> bool:
        """Tell whether any row says something of the state of a scope."""
        return any(row.changes_state for row in self._of(scope))

    def _latest(self, scope: Scope) -> Sequence[Attempt]:
        latest: dict[str, Attempt] = {}
        for row in self._of(scope):
            if row.is_initial or not row.changes_state:
                continue
            if row.name not in latest or latest[row.name].attempt < row.attempt:
                latest[row.name] = row
        return list(latest.values())

    def _progress(self, scope: Scope, shared: dict[_ProgressKey, Progress]) -> Progress:
        marks = [row for row in self._of(scope) if row.is_initial]
        enrolled = marks[-1].version if marks else None
        is_baseline = bool(marks) and marks[-1].name.endswith("_baseline")
        latest = self._latest(scope)
        through = self._through.get(scope)
        life = self._life(scope) if marks else None
        enrolment = Enrolment.parse(enrolled) if enrolled is not None else None
        tried_again = frozenset(row.name for row in latest if self._is_tried_again(row))
        progress = Progress(
            enrolment=replace(enrolment, is_baseline=is_baseline) if enrolment else None,
            completed=frozenset(row.name for row in latest if row.status is AttemptStatus.COMPLETED),
            open={row.name: row.status for row in latest if row.status is not AttemptStatus.COMPLETED},
            half_reverted=frozenset(row.name for row in latest if _is_half_reverted(row)),
            tried_again=tried_again,
            through=through,
            life=life,
        )
        states = frozenset((row.name, row.status, row.direction) for row in latest)
        return shared.setdefault((enrolled, is_baseline, states, tried_again, through, life), progress)

    def _is_tried_again(self, latest: Attempt) -> bool:
        """Tell whether the step was taken back, wholly or in part, and then tried again in vain."""
        if latest.status is AttemptStatus.COMPLETED or latest.direction is Direction.DOWN:
            return False
        rows = [row for row in self._of(latest.scope) if row.name == latest.name and row.changes_state]
        back = max((row.attempt for row in rows if row.direction is Direction.DOWN), default=0)
        return back > max((row.attempt for row in rows if row.status is AttemptStatus.COMPLETED), default=0)


def _is_half_reverted(row: Attempt) -> bool:
    is_open = row.status not in (AttemptStatus.COMPLETED, AttemptStatus.REVERTED)
    return is_open and row.direction is Direction.DOWN


def _is_wanted(row: Attempt, wanted: AttemptFilter) -> bool:
    if (wanted.workspace_id is not None or wanted.instance_only) and row.scope != Scope(wanted.workspace_id):
        return False
    if wanted.status is not None and row.status is not wanted.status:
        return False
    return wanted.step is None or wanted.step in _names(row.name)


def _names(full_name: str) -> Iterator[str]:
    """Give what a step may be called by: its full name, its class, its timestamp."""
    yield full_name
    head, _, timestamp = full_name.rpartition("_")
    if timestamp.isdigit():
        yield timestamp
        yield head.partition("_")[2]
