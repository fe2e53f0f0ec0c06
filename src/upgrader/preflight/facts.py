"""What the checks are told of the server, the database and the role: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A session of the database with a transaction that is open for long.

    Attributes:
        state: as in `pg_stat_activity`: `active`, `idle in transaction`, …
        query: what it executes, or executed last.
    """

    pid: int
    user: str | None
    application_name: str | None
    seconds: float
    state: str | None
    query: str | None


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A transaction of this database that was prepared for two-phase commit and waits for its end."""

    gid: str
    owner: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Vacuum:
    """An autovacuum that prevents a wraparound: it does not give way to anybody."""

    pid: int
    seconds: float
    query: str


@dataclass(frozen=True, slots=True)
class InvalidIndex:
    """An index that queries do not use, and that nobody is building."""

    index: str
    table: str


@dataclass(frozen=True, slots=True)
class IdleSlot:
    """A replication slot that nobody reads.

    Attributes:
        retained_bytes: how much of the write-ahead log it keeps; None where that is unknown.
    """

    name: str
    kind: str
    retained_bytes: int | None


@dataclass(frozen=True, slots=True)
class Some(Generic[T]):
    """The first few of what was found, and how many there are in all."""

    shown: tuple[T, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class WorkspaceTable:
    """The workspace table, as the role sees it.

    Attributes:
        filters: the policies that decide which rows the role sees; empty where it sees all.
    """

    name: str
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the role may do.

    Attributes:
        owns_tables: whether any table of the database is its own, or of a role that it belongs to.
        table_exists: whether there is any table that is not PostgreSQL's own.
        hidden_sessions: how many sessions of other roles it may not look into.
    """

    owns_tables: bool = True
    table_exists: bool = False
    history_exists: bool = False
    may_create_history: bool = True
    hidden_sessions: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many connections are still to be had; the narrowest of all limits decides.

    Attributes:
        server: of the server, without those that are kept for others; may be below 0.
        database: of the database; None: without a limit of its own.
        role: of the role; None: without a limit of its own.
    """

    server: int
    database: int | None = None
    role: int | None = None

    @property
    def least(self) -> int:
        """How many may be opened; never below 0."""
        return max(0, min(one for one in (self.server, self.database, self.role) if one is not None))


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one query found.

    Attributes:
        standby_of: host and port of the primary, on a standby where the role may see them.
        read_only_by: where a session that is read-only has that from, as in `pg_settings.source`: `user`,
            `database`, `configuration file`, …; None where it may write.
    """

    database: str = ""
    user: str = ""
    version: str = ""
    backend_pid: int = 0
    is_standby: bool = False
    standby_of: str | None = None
    read_only_by: str | None = None
    privileges: Privileges = Privileges()
    workspace_table: WorkspaceTable | None = None
    transactions: Some[OpenTransaction] = Some()
    prepared: Some[PreparedTransaction] = Some()
    vacuums: Some[Vacuum] = Some()
    indexes: Some[InvalidIndex] = Some()
    slots: Some[IdleSlot] = Some()
    capacity: Capacity | None = None
