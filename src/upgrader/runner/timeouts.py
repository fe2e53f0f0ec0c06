"""Which timeouts hold for one step: what its decorator says, else what the settings say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from upgrader.model import Step
from upgrader.runner.options import RunSettings

_LOCK, _STATEMENT, _IDLE = "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"


@dataclass(frozen=True)
class Timeouts:
    """What holds for one step; 0 means without end.

    Attributes:
        tries: how often its transaction is tried.
        lock_seconds: how long a statement waits for a lock; in a data migration only where it was asked for.
        statement_seconds: how long a statement may take; outside a transaction only where it was asked for.
        concurrent_wait_seconds: how long a statement outside a transaction may wait while nobody waits behind it.
    """

    tries: int
    lock_seconds: float
    migration_lock_seconds: float
    statement_seconds: float
    idle_seconds: float
    concurrent_wait_seconds: float
    _overrides: tuple[tuple[str, str], ...] = ()

    @cached_property
    def transactional(self) -> dict[str, str]:
        """The settings of the step's transaction; the run's own are those of the session."""
        return {_LOCK: _milliseconds(self.lock_seconds), **dict(self._overrides)}

    @property
    def migration(self) -> dict[str, str]:
        """The settings of a data migration's transactions."""
        return {_LOCK: _milliseconds(self.migration_lock_seconds), **dict(self._overrides)}

    @property
    def autocommit(self) -> dict[str, str]:
        """The settings of a session outside a transaction.

        No lock timeout: CREATE INDEX CONCURRENTLY would run into it where it waits for old transactions, and
        leave an invalid index. The run looks at the wait instead.
        """
        return {_LOCK: "0", _STATEMENT: _milliseconds(self.statement_seconds), **dict(self._overrides)}


def timeouts_of(step: Step, settings: RunSettings) -> Timeouts:
    """Put what the command and the settings say together."""
    own = step.timeouts
    given = (
        (_STATEMENT, own.statement_timeout_seconds),
        (_IDLE, own.idle_in_transaction_session_timeout_seconds),
    )
    statement_seconds = settings.statement_timeout_seconds if step.transactional else 0.0
    return Timeouts(
        tries=settings.retry.tries if own.lock_tries is None else own.lock_tries,
        lock_seconds=_first(own.lock_timeout_seconds, settings.lock_timeout_seconds),
        migration_lock_seconds=_first(own.lock_timeout_seconds, 0.0),
        statement_seconds=_first(own.statement_timeout_seconds, statement_seconds),
        idle_seconds=_first(
            own.idle_in_transaction_session_timeout_seconds,
            settings.idle_in_transaction_session_timeout_seconds,
        ),
        concurrent_wait_seconds=_first(own.concurrent_wait_seconds, settings.concurrent_wait_seconds),
        _overrides=tuple((name, _milliseconds(value)) for name, value in given if value is not None),
    )


def session_settings(settings: RunSettings) -> dict[str, str]:
    """Give what the sessions that run commands begin with, whatever role and database say.

    Sent in the start-up packet: RESET ALL comes back to it.
    """
    return {
        _STATEMENT: _milliseconds(settings.statement_timeout_seconds),
        _IDLE: _milliseconds(settings.idle_in_transaction_session_timeout_seconds),
    }


def _first(own: float | None, otherwise: float) -> float:
    return otherwise if own is None else own


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000))) if seconds else "0"
