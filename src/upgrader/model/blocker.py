"""Who is in the way of a statement that waits for a lock."""

from __future__ import annotations

from dataclasses import dataclass

ITS_TRANSACTION = "its transaction"
_FOR_WRAPAROUND = "(to prevent wraparound)"


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session, or a prepared transaction, that holds the awaited lock or stands before us in its queue.

    Attributes:
        pid: its server process; None for a prepared transaction, which has none.
        gid: the name of a prepared transaction, else None.
        backend_type: as PostgreSQL calls it: `client backend`, `autovacuum worker`.
        state: `active`, `idle in transaction`, …; None where this role may not see it.
        transaction_seconds: the age of its transaction; None where that is not known.
        query: what it executes, or executed last: cut and redacted.
        lock_mode: the lock that is in the way: `AccessShareLock`.
        locked: what it is on: `core.invoice`, `a row of core.invoice`, `its transaction`.
        is_waiting: it holds nothing that is in the way, but stands before us in the queue.
        is_hidden: this role may not see what the session does.
    """

    pid: int | None
    user: str | None = None
    application_name: str | None = None
    client: str | None = None
    backend_type: str | None = None
    state: str | None = None
    transaction_seconds: float | None = None
    query: str | None = None
    lock_mode: str | None = None
    locked: str | None = None
    gid: str | None = None
    is_waiting: bool = False
    is_hidden: bool = False

    @property
    def prevents_wraparound(self) -> bool:
        """Whether it is an autovacuum that does not give way."""
        return self.backend_type == "autovacuum worker" and _FOR_WRAPAROUND in (self.query or "")

    @property
    def name(self) -> str:
        """Give who it is: `pid 4711`, `prepared transaction 'x'`."""
        return f"pid {self.pid}" if self.pid is not None else f"prepared transaction {_quoted(self.gid)}"

    @property
    def text(self) -> str:
        """Tell all that is known of it, in one line."""
        verb = "waits before us for" if self.is_waiting else "holds"
        lock = f"{verb} {self.lock_mode} on {self.locked}" if self.lock_mode and self.locked else None
        if self.locked == ITS_TRANSACTION:
            lock = "whose transaction has to end"
        parts = [f"{self.name}{self._who()}", self._state(), lock]
        told = ", ".join(part for part in parts if part)
        if self.is_hidden:
            return f"{told}; what it does cannot be seen without the role pg_read_all_stats"
        if not self.query:
            return told
        return f"{told}: {self.query}" if self.state == "active" else f"{told}; last: {self.query}"

    @property
    def remedy(self) -> str:
        """Tell how to get it out of the way."""
        if self.pid is None:
            return f"end it with COMMIT PREPARED {_quoted(self.gid)} or ROLLBACK PREPARED {_quoted(self.gid)}"
        if self.prevents_wraparound:
            return f"let it finish: pg_stat_progress_vacuum shows how far pid {self.pid} is"
        return f"end it with SELECT pg_terminate_backend({self.pid})"

    def _who(self) -> str:
        names = [f"user {self.user}" if self.user else "", self.application_name or "", self.client or ""]
        told = ", ".join(name for name in names if name)
        return f" ({told})" if told else ""

    def _state(self) -> str:
        if self.pid is None:
            return (
                "" if self.transaction_seconds is None else f"prepared {_age(self.transaction_seconds)} ago"
            )
        if self.backend_type == "autovacuum worker":
            what = "autovacuum to prevent wraparound" if self.prevents_wraparound else "autovacuum"
        elif self.backend_type == "client backend":
            what = self.state or ""
        else:
            what = self.backend_type or ""
        if self.transaction_seconds is None:
            return what
        return f"{what} for {_age(self.transaction_seconds)}".strip()


def _quoted(text: str | None) -> str:
    return "'" + (text or "").replace("'", "''") + "'"


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
