"""How far every scope is, read in one snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

import psycopg

from upgrader.database.connect import identifier
from upgrader.database.streaming import rows_of
from upgrader.history.layout import not_readable, read_layout_version
from upgrader.history.rows import ScopeClass, StepRow, progress_of
from upgrader.history.store import HistorySnapshot
from upgrader.model import AttemptStatus, Direction, Progress, Quarantine

_BATCH = 1000
# The last column: taken back, wholly or in part, and tried again since in vain, as was_taken_back() says.
_LATEST = """
select h.*, h.status <> 'completed' and h.direction = 'up' and (
    select coalesce(max(other.attempt) filter (where other.direction = 'down'), 0)
         > coalesce(max(other.attempt) filter (where other.direction = 'up' and other.status = 'completed'), 0)
      from {history} other
     where coalesce(other.workspace_id, '') = coalesce(h.workspace_id, '') and other.name = h.name
       and not other.is_initial and other.changes_state and other.forgotten_at is null
)
from (select distinct on (coalesce(workspace_id, ''), name) workspace_id, name, status, direction
        from {history} where coalesce(workspace_id, '') = any(%s)
         and not is_initial and changes_state and forgotten_at is null
       order by coalesce(workspace_id, ''), name, attempt desc) h
"""


def read_snapshot(driver: psycopg.Connection, schema: str) -> HistorySnapshot:
    """Read one row per scope, then the steps of one scope for each distinct state.

    Args:
        driver: a connection in autocommit.
        schema: the history schema.

    Raises:
        LayoutError: the role may not read it.
    """
    if read_layout_version(driver, schema) is None:
        return HistorySnapshot(exists=False)
    try:
        with driver.transaction():
            driver.execute("set transaction isolation level repeatable read, read only")
            classes, members = _classes(driver, schema)
            steps = _steps(driver, schema, classes.values())
            quarantined = _quarantined(driver, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_readable(driver, schema) from error
    progress = {key: progress_of(key, steps[representative]) for key, representative in classes.items()}
    workspaces = {
        workspace_id: progress[key] for workspace_id, key in members.items() if workspace_id is not None
    }
    instance = progress[members[None]] if None in members else Progress()
    return HistorySnapshot(True, instance, workspaces, quarantined)


def _classes(
    driver: psycopg.Connection, schema: str
) -> tuple[dict[ScopeClass, str | None], dict[str | None, ScopeClass]]:
    classes: dict[ScopeClass, str | None] = {}
    interned: dict[ScopeClass, ScopeClass] = {}
    members: dict[str | None, ScopeClass] = {}
    with driver.cursor(name="upgrader_scopes") as cursor:
        cursor.execute(
            "select workspace_id, enrolled, is_baseline, completed_digest, open_digest, through,"
            " case when enrolled is not null then life end"
            f" from {_table(schema, 'scope')}".encode(),
            [],
        )
        for row in rows_of(cursor):
            key = row[1:]
            key = interned.setdefault(key, key)
            members[row[0]] = key
            classes.setdefault(key, row[0])
    return classes, members


def _steps(
    driver: psycopg.Connection, schema: str, scopes: Iterable[str | None]
) -> dict[str | None, list[StepRow]]:
    found: dict[str | None, list[StepRow]] = defaultdict(list)
    pending = iter(scopes)
    while batch := list(islice(pending, _BATCH)):
        rows = driver.execute(
            _LATEST.format(history=_table(schema, "history")).encode(), [[scope or "" for scope in batch]]
        )
        for workspace_id, name, status, direction, is_again in rows:
            found[workspace_id].append((name, AttemptStatus(status), Direction(direction), is_again))
    return found


def _quarantined(driver: psycopg.Connection, schema: str) -> dict[str, Quarantine]:
    rows = driver.execute(
        "select workspace_id, reason, quarantined_by, since, executed_by_version,"
        " extract(epoch from clock_timestamp() - since)::float8"
        f" from {_table(schema, 'quarantine')} where released_at is null".encode(),
        [],
    )
    return {row[0]: Quarantine(*row[1:]) for row in rows}


def _table(schema: str, name: str) -> str:
    """Give a name for statements with parameters, of which psycopg marks the places with %."""
    return identifier(schema, name).replace("%", "%%")
