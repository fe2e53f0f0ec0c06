"""Whether a run gets the connections that it opens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.database.connect import identifier
from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.wording import counted

if TYPE_CHECKING:
    from upgrader.preflight.facts import Capacity, Facts

# The one on which the look is taken is open already: the run lock's. There is one more beside the lanes'.
_BESIDE_LANES = 1


def connections(facts: Facts, *, lanes: int) -> Iterator[PreflightFinding]:
    """Refuse to begin where connections are short: a run would end in the middle of it.

    Args:
        lanes: how many workspaces the run works on at a time.
    """
    found = facts.capacity
    if found is None:
        return
    free, whose, remedy = _narrowest(facts, found)
    if free >= lanes + _BESIDE_LANES:
        return
    fits = free - _BESIDE_LANES
    yield PreflightFinding(
        PreflightCheck.CONNECTIONS,
        PreflightLevel.REFUSE,
        f"{counted(max(0, free), 'connection')} more to be had {whose}; with jobs = {lanes} a run opens"
        f" {lanes + _BESIDE_LANES} more",
        f"give --jobs {fits}, the most that fits; or {remedy}" if fits >= 1 else remedy,
    )


def _narrowest(facts: Facts, found: Capacity) -> tuple[int, str, str]:
    role, database = identifier(facts.user), identifier(facts.database)
    limits = [
        (found.server, "on the server", "end sessions that nobody needs, or raise max_connections"),
        (
            found.database,
            f"for the database {facts.database}",
            f"ALTER DATABASE {database} CONNECTION LIMIT -1;",
        ),
        (found.role, f"for the role {facts.user}", f"ALTER ROLE {role} CONNECTION LIMIT -1;"),
    ]
    return min(
        ((free, whose, remedy) for free, whose, remedy in limits if free is not None), key=lambda one: one[0]
    )
