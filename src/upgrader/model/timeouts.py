"""How long the statements of one command may wait and work, where its author says so."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class StepTimeouts:
    """What a command's decorator overrides; None leaves it to the settings, 0 turns a timeout off.

    Attributes:
        lock_timeout_seconds: how long one statement waits for a lock.
        lock_tries: how often the transaction is tried that meets a lock timeout or a deadlock.
        statement_timeout_seconds: how long one statement may take.
        idle_in_transaction_session_timeout_seconds: how long its transaction may stand still between two.
        concurrent_wait_seconds: how long a statement outside a transaction (CREATE INDEX CONCURRENTLY) may wait
            for other transactions, where nobody waits behind it.
    """

    lock_timeout_seconds: float | None = None
    lock_tries: int | None = None
    statement_timeout_seconds: float | None = None
    idle_in_transaction_session_timeout_seconds: float | None = None
    concurrent_wait_seconds: float | None = None


NO_OVERRIDES = StepTimeouts()
TIMEOUT_NAMES = tuple(field.name for field in fields(StepTimeouts))
"""The decorators' arguments of that kind; they are no part of a command's checksum."""
