"""Whether a backfill has to step back, and for what: a pure decision from readings and limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from upgrader.database.health import Health, OldTransaction, Reading, Standby, Vacuum, only

_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """At which reading a backfill steps back; 0 turns a limit off.

    Where the figures come from:

    - 1.5 seconds of replication lag is gh-ost's `max-lag-millis`.
    - 100 MB of it was the limit of GitLab's background migrations; at 70 MB of log a second, which a large update
      writes, it is the same 1.5 seconds. Less would be reached by a healthy standby between two batches.
    - 42 log files that wait for the archiver is the limit of GitLab's batched background migrations.
    - They go to rest for 10 minutes where autovacuum is at work on the table. So long is waited for one vacuum,
      and no longer: that of a large table takes hours. What it clears away keeps the table from growing.
    - 1 second of waiting for a lock is the server's own `deadlock_timeout`: what it takes for a long wait.
    - An hour's transaction is no accident of a request; it is a report, a dump, or forgotten. While it lasts,
      every row that is changed stays there twice. A backfill of minutes is not held up by it.

    Attributes:
        replication_lag_bytes: of log that a standby has not replayed.
        replication_lag_seconds: since what it replays just now was written.
        ignored_standbys: names of standbys that may be behind: delayed ones.
        archive_files: complete log files that are not archived.
        vacuum_wait_seconds: how long one vacuum of the table is waited for.
        lock_wait_seconds: for how long a session of others has waited for a lock on the table.
        transaction_seconds: for how long dead rows cannot be cleared away.
    """

    replication_lag_bytes: int = 100 * 1024 * 1024
    replication_lag_seconds: float = 1.5
    ignored_standbys: tuple[str, ...] = ()
    archive_files: int = 42
    vacuum_wait_seconds: float = 600.0
    lock_wait_seconds: float = 1.0
    transaction_seconds: float = 3_600.0

    @property
    def readings(self) -> frozenset[Reading]:
        """What has to be read."""
        return only(
            (
                (Reading.REPLICATION, self.replication_lag_bytes or self.replication_lag_seconds),
                (Reading.ARCHIVING, self.archive_files),
                (Reading.VACUUM, self.vacuum_wait_seconds),
                (Reading.LOCK_WAITS, self.lock_wait_seconds),
                (Reading.TRANSACTIONS, self.transaction_seconds),
            )
        )


@dataclass(frozen=True, slots=True)
class Hindrance:
    """One reason to step back.

    Attributes:
        reading: which reading it is.
        text: what is waited for, with the figure and its limit, in words that follow "waiting for".
    """

    reading: Reading
    text: str


@dataclass
class Brake:
    """Compares readings with limits. It remembers how long things have been there that tell no time themselves."""

    limits: BrakeLimits
    _seen_since: dict[tuple[str, int], float] = field(default_factory=dict)

    def hindrances(self, health: Health, *, now: float) -> tuple[Hindrance, ...]:
        """Give all reasons to step back; none: go on.

        Args:
            now: seconds of a clock that never goes back.
        """
        self._remember(health, now)
        found = (
            (Reading.REPLICATION, self._replication(health)),
            (Reading.ARCHIVING, self._archiving(health)),
            (Reading.VACUUM, self._vacuums(health, now)),
            (Reading.LOCK_WAITS, self._lock_waits(health)),
            (Reading.TRANSACTIONS, self._transactions(health, now)),
        )
        return tuple(Hindrance(reading, text) for reading, text in found if text)

    def _remember(self, health: Health, now: float) -> None:
        seen = {*self._horizons(health), *(("vacuum", vacuum.pid) for vacuum in health.vacuums)}
        self._seen_since = {key: self._seen_since.get(key, now) for key in seen}

    def _horizons(self, health: Health) -> Iterator[tuple[str, int]]:
        for standby in health.standbys:
            if standby.held_xmin is not None and standby.name not in self.limits.ignored_standbys:
                yield f"the queries of the standby {standby.name}", standby.held_xmin
        for name, xmin in health.slots:
            yield f"the replication slot {name}", xmin

    def _replication(self, health: Health) -> str:
        behind = [
            text
            for standby in health.standbys
            if standby.name not in self.limits.ignored_standbys and (text := self._lag(standby))
        ]
        return f"replication lag of {'; '.join(behind[:_NAMED_AT_MOST])}" if behind else ""

    def _lag(self, standby: Standby) -> str:
        limits = self.limits
        lag_bytes, lag_seconds = standby.lag_bytes or 0, standby.lag_seconds or 0.0
        if limits.replication_lag_bytes and lag_bytes >= limits.replication_lag_bytes:
            return f"{standby.name}: {megabytes(lag_bytes)} (limit {megabytes(limits.replication_lag_bytes)})"
        # Its last measure stays for a while after it has caught up.
        if limits.replication_lag_seconds and lag_bytes and lag_seconds >= limits.replication_lag_seconds:
            return f"{standby.name}: {lag_seconds:.1f} s (limit {limits.replication_lag_seconds:g} s)"
        return ""

    def _archiving(self, health: Health) -> str:
        limit, archiving = self.limits.archive_files, health.archiving
        if archiving is None or not limit or (archiving.files_behind or 0) < limit:
            return ""
        failing = f", which fails on {archiving.failed_file}" if archiving.is_failing else ""
        return f"the WAL archiver{failing}: {archiving.files_behind:,} files behind (limit {limit:,})"

    def _vacuums(self, health: Health, now: float) -> str:
        limit = self.limits.vacuum_wait_seconds
        waited_for = [
            vacuum
            for vacuum in health.vacuums
            if limit and now - self._seen_since[("vacuum", vacuum.pid)] < limit
        ]
        return f"{', '.join(map(_vacuum, waited_for))} (for {limit:g} s at most)" if waited_for else ""

    def _lock_waits(self, health: Health) -> str:
        limit, waits = self.limits.lock_wait_seconds, health.lock_waits
        if not limit or not waits.pids or waits.longest_seconds < limit:
            return ""
        count = len(waits.pids)
        who = f"{count} sessions" if count > 1 else "a session"
        pids = ", ".join(map(str, waits.pids[:_NAMED_AT_MOST])) + (", …" if count > _NAMED_AT_MOST else "")
        text = (
            f"{who} that waited for a lock on the table for {waits.longest_seconds:.1f} s (limit {limit:g} s)"
        )
        return f"{text}: pid {pids}"

    def _transactions(self, health: Health, now: float) -> str:
        limit = self.limits.transaction_seconds
        found = [health.oldest_transaction] if health.oldest_transaction else []
        found += [
            OldTransaction(name, now - self._seen_since[(name, xmin)])
            for name, xmin in self._horizons(health)
        ]
        oldest = max(found, key=lambda one: one.seconds, default=None)
        if oldest is None or not limit or oldest.seconds < limit:
            return ""
        state = f", {oldest.state}" if oldest.state else ""
        return (
            f"the end of a transaction that keeps dead rows: {oldest.name}{state},"
            f" open for {oldest.seconds:.0f} s (limit {limit:g} s)"
        )


def megabytes(count: int) -> str:
    """Give a number of bytes for people."""
    if count < 1024 * 1024:
        return f"{count / 1024:.0f} kB"
    return f"{count / 1024 / 1024:,.0f} MB"


def _vacuum(vacuum: Vacuum) -> str:
    kind = "vacuum" if vacuum.is_automatic is None or not vacuum.is_automatic else "autovacuum"
    why = " against wraparound" if vacuum.is_against_wraparound else ""
    percent = f", {vacuum.percent:.0f}% scanned" if vacuum.percent is not None else ""
    return f"the {kind}{why} of the table, pid {vacuum.pid}{percent}"
