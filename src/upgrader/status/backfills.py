"""How far backfills are, from a session of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.backfill.standing import Backfill, BackfillFilter, read_backfills
from upgrader.errors import OperatorError
from upgrader.status.running import find_running

if TYPE_CHECKING:
    import psycopg

    from upgrader.history.sql_store import SqlHistoryStore

_NAMED_AT_MOST = 20


def find_backfills(
    driver: psycopg.Connection, store: SqlHistoryStore, *, schema: str, wanted: BackfillFilter
) -> tuple[Backfill, ...]:
    """Give the backfills whose step is not complete; takes no lock.

    Raises:
        LayoutError: the role may not read them.
    """
    running = find_running(driver, store, schema=schema)

    def is_worked_on(run_id: str | None) -> bool:
        # Who holds the lock is hidden from some roles, not that somebody does.
        return running is not None and running.run_id in (None, run_id)

    return read_backfills(driver, schema, wanted=wanted, is_worked_on=is_worked_on)


def find_backfill(driver: psycopg.Connection, store: SqlHistoryStore, *, schema: str, name: str) -> Backfill:
    """Give the one backfill that is meant.

    Args:
        name: its id, `STEP/label`, or one of the two where that is enough.

    Raises:
        OperatorError: there is none of that name, or more than one; with those that there are.
        LayoutError: the role may not read them.
    """
    found = find_backfills(driver, store, schema=schema, wanted=BackfillFilter(name, _NAMED_AT_MOST + 1))
    exact = [one for one in found if str(one.id) == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise OperatorError(
            f"{name} is the name of several backfills: {_named(found)}", hint="give one of these ids"
        )
    others = find_backfills(driver, store, schema=schema, wanted=BackfillFilter(None, _NAMED_AT_MOST + 1))
    raise OperatorError(
        f"there is no backfill {name}" if others else "there is no backfill at work, and none to go on with",
        hint=f"there are {_named(others)}"
        if others
        else "a backfill is listed from its first batch until its step is complete: see `upgrader status`",
    )


def _named(backfills: tuple[Backfill, ...]) -> str:
    names = [f"{one.id} ({one.name})" for one in backfills[:_NAMED_AT_MOST]]
    return ", ".join(names) + (", …" if len(backfills) > _NAMED_AT_MOST else "")
