"""The looks at a database: before the run lock, under it, and alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.connections import connections
from upgrader.preflight.history import history
from upgrader.preflight.leftovers import invalid_indexes, replication_slots
from upgrader.preflight.pooling import look_for_proxy
from upgrader.preflight.read import read_facts
from upgrader.preflight.role import role, row_security
from upgrader.preflight.server import pooling_findings, read_only, standby
from upgrader.preflight.sessions import long_transactions, prepared_transactions, wraparound_vacuum

if TYPE_CHECKING:
    import psycopg

    from upgrader.database.connect import Connector
    from upgrader.preflight.facts import Facts
    from upgrader.preflight.query import Question

Check = Callable[["Facts"], Iterator[PreflightFinding]]
CHECKS: tuple[Check, ...] = (
    standby,
    read_only,
    role,
    row_security,
    long_transactions,
    prepared_transactions,
    wraparound_vacuum,
    invalid_indexes,
    replication_slots,
)
MARKS_NEED = frozenset({PreflightCheck.POOLING_PROXY, PreflightCheck.STANDBY, PreflightCheck.READ_ONLY})
"""What matters where nothing is run and only marks are written."""
_ORDER = list(PreflightCheck)


@dataclass(frozen=True)
class PreflightReport:
    """What was found, in the order of the checks.

    Attributes:
        database: for people, without a password.
        role: as whom.
        ignored: the checks that the settings leave out.
    """

    database: str
    server_version: str
    role: str
    findings: tuple[PreflightFinding, ...]
    ignored: tuple[PreflightCheck, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether a run would be refused."""
        return any(finding.level is PreflightLevel.REFUSE for finding in self.findings)


@dataclass(frozen=True)
class Inspector:
    """Looks at a database as the settings say.

    Attributes:
        question: what is asked about.
        ignore: checks that are left out.
        lanes: how many workspaces a run works on at a time; None: nothing runs.
        redact: takes secrets out of what other sessions execute.
    """

    question: Question
    ignore: Collection[PreflightCheck] = ()
    redact: Callable[[str], str] = str
    lanes: int | None = None

    def before_the_lock(
        self, driver: psycopg.Connection, connector: Connector
    ) -> tuple[PreflightFinding, ...]:
        """Look whether a session is a session. Comes before any lock: one that ends up with others stays."""
        if PreflightCheck.POOLING_PROXY in self.ignore:
            return ()
        return self._kept(pooling_findings(look_for_proxy(driver, connector)))

    def under_the_lock(self, driver: psycopg.Connection) -> tuple[PreflightFinding, ...]:
        """Ask everything else; of the history only a run itself can tell, and does so next."""
        facts = self._facts(driver)
        return self._kept([*judge(facts), *self._connections(facts)])

    def connections_left(self, driver: psycopg.Connection) -> int:
        """Count the connections that this role may still open; others may take them meanwhile."""
        capacity = self._facts(driver).capacity
        return capacity.least if capacity is not None else 0

    def alone(self, driver: psycopg.Connection, connector: Connector) -> PreflightReport:
        """Look at everything, without a lock."""
        facts = self._facts(driver)
        found = [*self.before_the_lock(driver, connector), *judge(facts), *self._connections(facts)]
        found += history(driver, facts, schema=self.question.history_schema)
        return PreflightReport(
            database=connector.description,
            server_version=facts.version,
            role=facts.user,
            findings=self._kept(found),
            ignored=tuple(check for check in _ORDER if check in self.ignore),
        )

    def _connections(self, facts: Facts) -> Iterator[PreflightFinding]:
        return connections(facts, lanes=self.lanes) if self.lanes is not None else iter(())

    def _facts(self, driver: psycopg.Connection) -> Facts:
        return read_facts(driver, self.question, redact=self.redact)

    def _kept(self, found: Iterable[PreflightFinding]) -> tuple[PreflightFinding, ...]:
        kept = [
            replace(one, message=self.redact(one.message)) for one in found if one.name not in self.ignore
        ]
        return tuple(sorted(kept, key=lambda one: _ORDER.index(one.name)))


def judge(facts: Facts) -> Iterator[PreflightFinding]:
    """Give what the checks make of the facts; needs no database."""
    for check in CHECKS:
        yield from check(facts)
