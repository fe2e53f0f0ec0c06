"""Frozen values that several floors speak of."""

from upgrader.model.attempt import Attempt, AttemptStatus, Direction, Enrolment, StepState
from upgrader.model.blocker import Blocker
from upgrader.model.captured import CapturedStatement, StepStatements
from upgrader.model.failure_limit import FailureLimit
from upgrader.model.finding import Finding, Severity
from upgrader.model.jobs import Jobs
from upgrader.model.lock_wait import IndexProgress, LockWait
from upgrader.model.order import Order
from upgrader.model.outcome import Outcome
from upgrader.model.preflight import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.model.pressure import Pressure
from upgrader.model.progress import Progress
from upgrader.model.quarantine import Quarantine
from upgrader.model.scope import INSTANCE, Scope
from upgrader.model.step import Step
from upgrader.model.timeouts import NO_OVERRIDES, TIMEOUT_NAMES, StepTimeouts
from upgrader.model.workspace import Workspace

__all__ = [
    "INSTANCE",
    "NO_OVERRIDES",
    "TIMEOUT_NAMES",
    "Attempt",
    "AttemptStatus",
    "Blocker",
    "CapturedStatement",
    "Direction",
    "Enrolment",
    "FailureLimit",
    "Finding",
    "IndexProgress",
    "Jobs",
    "LockWait",
    "Order",
    "Outcome",
    "PreflightCheck",
    "PreflightFinding",
    "PreflightLevel",
    "Pressure",
    "Progress",
    "Quarantine",
    "Scope",
    "Severity",
    "Step",
    "StepState",
    "StepStatements",
    "StepTimeouts",
    "Workspace",
]
