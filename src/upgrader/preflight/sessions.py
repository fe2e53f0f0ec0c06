"""Who would be in the way of a change: transactions that are open for long, prepared ones, a vacuum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.database.connect import identifier, literal
from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.wording import age, counted, enumerated, one_line

if TYPE_CHECKING:
    from upgrader.preflight.facts import Facts, OpenTransaction, Vacuum


def long_transactions(facts: Facts) -> Iterator[PreflightFinding]:
    """Name transactions that are open for long: a table they touched cannot be altered before they end."""
    yield from _hidden_sessions(facts)
    found = facts.transactions
    if not found.count:
        return
    told = enumerated([_transaction(one) for one in found.shown], found.count)
    yield PreflightFinding(
        PreflightCheck.LONG_TRANSACTIONS,
        PreflightLevel.WARN,
        f"{counted(found.count, 'transaction')} open for long: {told}",
        "a table that it touched cannot be altered before it ends, and CREATE INDEX CONCURRENTLY waits for it: "
        f"end it in the application, or run SELECT pg_terminate_backend({found.shown[0].pid});",
    )


def _hidden_sessions(facts: Facts) -> Iterator[PreflightFinding]:
    if not facts.privileges.hidden_sessions:
        return
    hidden = counted(facts.privileges.hidden_sessions, "session")
    yield PreflightFinding(
        PreflightCheck.LONG_TRANSACTIONS,
        PreflightLevel.INFO,
        f"role {facts.user} may not look into {hidden} of other roles: a long transaction there goes unseen",
        f"GRANT pg_read_all_stats TO {identifier(facts.user)};",
    )


def _transaction(one: OpenTransaction) -> str:
    program = f", {one.application_name}" if one.application_name else ""
    who = f"pid {one.pid} ({one.user or 'unknown role'}{program})"
    doing = f": {one_line(one.query)}" if one.query else ""
    return f"{who} for {age(one.seconds)}, {one.state or 'state unknown'}{doing}"


def prepared_transactions(facts: Facts) -> Iterator[PreflightFinding]:
    """Name transactions that were prepared and never ended: they keep their locks through a restart."""
    found = facts.prepared
    if not found.count:
        return
    told = [f"{literal(one.gid)} of {one.owner}, for {age(one.seconds)}" for one in found.shown]
    yield PreflightFinding(
        PreflightCheck.PREPARED_TRANSACTIONS,
        PreflightLevel.WARN,
        f"{counted(found.count, 'prepared transaction')} waiting for an end: {enumerated(told, found.count)}",
        "its locks are kept until somebody ends it: "
        f"COMMIT PREPARED {literal(found.shown[0].gid)}; or ROLLBACK PREPARED, as its coordinator says",
    )


def wraparound_vacuum(facts: Facts) -> Iterator[PreflightFinding]:
    """Name vacuums against wraparound: unlike others they do not give way to a change of their table."""
    found = facts.vacuums
    if not found.count:
        return
    yield PreflightFinding(
        PreflightCheck.WRAPAROUND_VACUUM,
        PreflightLevel.WARN,
        f"autovacuum prevents a wraparound, and gives way to nobody: {enumerated(_vacuums(found.shown), found.count)}",
        "let it finish first if a step changes that table: pg_stat_progress_vacuum shows how far it is",
    )


def _vacuums(shown: tuple[Vacuum, ...]) -> list[str]:
    return [f"pid {one.pid} for {age(one.seconds)}: {one_line(one.query)}" for one in shown]
