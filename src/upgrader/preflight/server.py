"""What the server is: a standby, read-only, behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.database.connect import DIRECT_URL
from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.pooling import Pooling, ProxyKind

if TYPE_CHECKING:
    from upgrader.preflight.facts import Facts

_SOURCES = {
    "database": "ALTER DATABASE {database} RESET default_transaction_read_only;",
    "user": "ALTER ROLE {user} RESET default_transaction_read_only;",
    "database user": "ALTER ROLE {user} IN DATABASE {database} RESET default_transaction_read_only;",
}


def standby(facts: Facts) -> Iterator[PreflightFinding]:
    """Refuse a standby: nothing can be written there."""
    if not facts.is_standby:
        return
    primary = f"the primary's URL ({facts.standby_of})" if facts.standby_of else "the URL of the primary"
    yield PreflightFinding(
        PreflightCheck.STANDBY,
        PreflightLevel.REFUSE,
        "the server is a standby: nothing can be written on it",
        f"give {primary}; a URL with all hosts and target_session_attrs=read-write finds it by itself",
    )


def read_only(facts: Facts) -> Iterator[PreflightFinding]:
    """Refuse sessions that begin read-only, and say what makes them so."""
    if facts.read_only_by is None or facts.is_standby:
        return
    remedy = _SOURCES.get(facts.read_only_by)
    typed = (
        f"run {remedy.format(database=facts.database, user=facts.user)}"
        if remedy
        else f"default_transaction_read_only is on by {facts.read_only_by}: turn it off there"
    )
    yield PreflightFinding(
        PreflightCheck.READ_ONLY,
        PreflightLevel.REFUSE,
        f"the sessions of role {facts.user} are read-only here: nothing can be written",
        f"{typed}, or use a role of which that is not so",
    )


def pooling_findings(pooling: Pooling) -> Iterator[PreflightFinding]:
    """Refuse a proxy that takes sessions apart; tell of one that leaves them whole."""
    if pooling.kind is ProxyKind.TRANSACTIONS:
        yield _proxy(
            PreflightLevel.REFUSE,
            "a proxy that pools by transaction or statement stands before the server: a session's locks and "
            "settings end up with other clients, so the run lock would protect nothing",
            DIRECT_URL,
        )
    elif pooling.kind is ProxyKind.SESSIONS_ONE:
        yield _proxy(
            PreflightLevel.REFUSE,
            "a proxy stands before the server and has no connection for a second session; a run needs three",
            f"{DIRECT_URL}; or give its pool more connections",
        )
    elif pooling.kind is ProxyKind.SESSIONS and not pooling.takes_settings:
        yield _proxy(
            PreflightLevel.WARN,
            "a proxy stands before the server: it keeps sessions whole, but leaves out the settings that they "
            "begin with: statement_timeout and idle_in_transaction_session_timeout of this program do not hold, "
            "and a killed run's statement may go on for longer",
            DIRECT_URL,
        )
    elif pooling.kind is ProxyKind.SESSIONS:
        yield _proxy(
            PreflightLevel.INFO,
            "a proxy stands before the server, and it keeps sessions whole",
            "nothing needs to be done; a direct URL has one thing less that can fail",
        )


def _proxy(level: PreflightLevel, message: str, hint: str) -> PreflightFinding:
    return PreflightFinding(PreflightCheck.POOLING_PROXY, level, message, hint)
