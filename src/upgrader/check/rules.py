"""All rules of the gate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from upgrader.check.rule import Need, Rule
from upgrader.check.squawk_rules import SQUAWK_RULES
from upgrader.model import Severity

LOADING_PROBLEM = Rule(
    "loading-problem",
    Severity.ERROR,
    "Every command module can be imported, and every command in it is whole.",
)
COLLISION = Rule(
    "collision",
    Severity.ERROR,
    "No two commands share a name, a command-line name, or a timestamp within one version and kind.",
)
FUTURE_TIMESTAMP = Rule(
    "timestamp-in-the-future",
    Severity.WARNING,
    "No command's timestamp lies more than a day ahead: it would run after commands that are written later.",
)
RELEASED_VERSION_CHANGED = Rule(
    "released-version-changed",
    Severity.ERROR,
    "No command is added to a release that is out: databases that are past it would have to go back for it.",
)
BELOW_BASELINE = Rule(
    "below-baseline",
    Severity.ERROR,
    "No command is added at or below a baseline or an enrolment: it would never run there.",
    Need.DATABASE,
)
CHECKSUM_CHANGED = Rule(
    "checksum-changed",
    Severity.ERROR,
    "The code of a completed command is still the code that was run.",
    Need.DATABASE,
)
COMPLETED_COMMAND_GONE = Rule(
    "completed-command-gone",
    Severity.ERROR,
    "A completed command is still in the code, under the name that it ran with.",
    Need.DATABASE,
)
MISSING_STEP = Rule(
    "missing-step",
    Severity.ERROR,
    "No command was added below what has run already.",
    Need.DATABASE,
)
SEQUENCE_FAILS = Rule(
    "sequence-fails",
    Severity.ERROR,
    "The whole sequence runs on an empty database.",
    Need.SCRATCH,
)
SCHEMA_DRIFT = Rule(
    "schema-drift",
    Severity.ERROR,
    "The sequence makes the schema that the application's metadata asks for.",
    Need.SCRATCH,
)
ROUND_TRIP = Rule(
    "round-trip",
    Severity.ERROR,
    "Up, down and up again of a reversible command leaves the schema that up alone leaves.",
    Need.SCRATCH,
)
CONCURRENTLY_IN_TRANSACTION = Rule(
    "concurrently-in-transaction",
    Severity.ERROR,
    "CONCURRENTLY is used only by commands that run outside a transaction.",
    Need.SQUAWK,
)
UNUSED_IGNORE = Rule(
    "unused-ignore",
    Severity.WARNING,
    "Every squawk-ignore comment silences something.",
    Need.SQUAWK,
)
NOT_LINTED = Rule(
    "not-linted",
    Severity.INFO,
    "Every statement was looked at.",
    Need.SQUAWK,
)

OWN_RULES = (
    LOADING_PROBLEM,
    COLLISION,
    FUTURE_TIMESTAMP,
    RELEASED_VERSION_CHANGED,
    BELOW_BASELINE,
    CHECKSUM_CHANGED,
    COMPLETED_COMMAND_GONE,
    MISSING_STEP,
    SEQUENCE_FAILS,
    SCHEMA_DRIFT,
    ROUND_TRIP,
    CONCURRENTLY_IN_TRANSACTION,
    UNUSED_IGNORE,
    NOT_LINTED,
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in (*OWN_RULES, *SQUAWK_RULES)})
"""Every rule by its name, our own first."""
