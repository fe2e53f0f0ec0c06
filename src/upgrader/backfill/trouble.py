"""Which failures of a batch pass: it is tried again, smaller."""

from __future__ import annotations

from upgrader.database.failures import database_error, repeatable_reason, seconds_of
from upgrader.errors import UpgraderError

_QUERY_CANCELED = "57014"
STATEMENT_TIMEOUT = "statement timeout"


def passing_trouble(error: BaseException) -> str | None:
    """Name what a batch met: a lock or statement timeout, a deadlock, a serialization failure; None if none of them.

    A statement that somebody has cancelled is not tried again.
    """
    if isinstance(error, UpgraderError):
        return None
    found = database_error(error)
    if found is None or found.sqlstate != _QUERY_CANCELED:
        return repeatable_reason(error)
    message = found.diag.message_primary or ""
    if message.startswith("canceling statement"):
        return STATEMENT_TIMEOUT if "statement timeout" in message else None
    return STATEMENT_TIMEOUT if seconds_of(found) is not None else None  # the server speaks another language
