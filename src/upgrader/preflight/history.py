"""Whether the history can be kept, by the same rules as a run goes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.errors import LayoutError
from upgrader.history.layout import may_not_create, read_layout_version, require_write
from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel

if TYPE_CHECKING:
    import psycopg

    from upgrader.preflight.facts import Facts


def history(driver: psycopg.Connection, facts: Facts, *, schema: str) -> Iterator[PreflightFinding]:
    """Refuse a history that is newer, of somebody else, or out of the role's reach; tell where there is none."""
    try:
        version = read_layout_version(driver, schema)
        if version is not None:
            require_write(driver, schema)
    except LayoutError as error:
        yield _finding(PreflightLevel.REFUSE, error.message, error.hint or "")
        return
    if version is not None:
        return
    if not facts.privileges.may_create_history:
        refusal = may_not_create(facts.user, schema, is_there=facts.privileges.history_exists)
        yield _finding(PreflightLevel.REFUSE, refusal.message, refusal.hint or "")
        return
    yield _finding(
        PreflightLevel.INFO,
        "there is no history yet: the first upgrade enrols everything at the beginning",
        "if the database is in the shape of a release already, run `upgrader baseline VERSION` first",
    )


def _finding(level: PreflightLevel, message: str, hint: str) -> PreflightFinding:
    return PreflightFinding(PreflightCheck.HISTORY, level, message, hint)
