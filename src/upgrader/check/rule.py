"""A rule of the gate: what it is called, how bad what it finds is, and what it needs to look."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from upgrader.model import Severity

SQUAWK_GROUP = "squawk"
"""The name that selects, ignores or weighs all rules of squawk at once."""


class Need(StrEnum):
    """What a rule looks at."""

    NOTHING = "nothing"  # the command modules alone
    DATABASE = "database"  # the history of a live database
    SCRATCH = "scratch"  # an empty database to run the sequence in
    SQUAWK = "squawk"  # the statements that were executed there, and squawk itself


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: in words joined by hyphens.
        severity: of its findings, unless the settings say otherwise.
        description: what it holds, in one sentence.
        is_squawks: whether squawk itself brings it: it belongs to the group `squawk` then.
    """

    name: str
    severity: Severity
    description: str
    needs: Need = Need.NOTHING
    is_squawks: bool = False
