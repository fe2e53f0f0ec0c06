"""What is found when the database is looked at before a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PreflightLevel(StrEnum):
    """What a finding means for a run."""

    REFUSE = "refuse"  # nothing may run
    WARN = "warn"  # it runs, and the operator is told
    INFO = "info"  # told where somebody asks


class PreflightCheck(StrEnum):
    """The checks by name, in the order in which they are told."""

    POOLING_PROXY = "pooling-proxy"
    STANDBY = "standby"
    READ_ONLY = "read-only"
    ROLE = "role"
    ROW_SECURITY = "row-security"
    HISTORY = "history"
    CONNECTIONS = "connections"
    LONG_TRANSACTIONS = "long-transactions"
    PREPARED_TRANSACTIONS = "prepared-transactions"
    WRAPAROUND_VACUUM = "wraparound-vacuum"
    INVALID_INDEXES = "invalid-indexes"
    REPLICATION_SLOTS = "replication-slots"


@dataclass(frozen=True, slots=True)
class PreflightFinding:
    """One thing that stands in the way of a run, or may.

    Attributes:
        name: the check that found it.
        message: what is there, in one sentence.
        hint: what to type or change.
    """

    name: PreflightCheck
    level: PreflightLevel
    message: str
    hint: str
