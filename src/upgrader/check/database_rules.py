"""Runs the rules about history on the live database: reads it once, then judges."""

from __future__ import annotations

from upgrader.check.against_history import (
    find_added_to_released,
    find_changed_checksums,
    find_gone,
    find_missing_commands,
    find_passed_over,
    written_steps,
)
from upgrader.check.book import CheckBook
from upgrader.check.live import LiveDatabase
from upgrader.check.rule import Need
from upgrader.check.rules import (
    BELOW_BASELINE,
    CHECKSUM_CHANGED,
    COMPLETED_COMMAND_GONE,
    MISSING_STEP,
    RELEASED_VERSION_CHANGED,
    RULES,
)
from upgrader.database.failures import translating
from upgrader.history.evidence import Completion, HistoryEvidence, PassedOver
from upgrader.runner.database_access import DatabaseAccess
from upgrader.runner.options import UpgradeOptions, plan_options
from upgrader.sequence.missing import find_missing
from upgrader.sequence.plan import RefusalReason
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState
from upgrader.settings import MissingPolicy
from upgrader.survey import take_survey

_RULES = (BELOW_BASELINE, CHECKSUM_CHANGED, COMPLETED_COMMAND_GONE, MISSING_STEP, RELEASED_VERSION_CHANGED)
_ASKING = (*_RULES, *(rule for rule in RULES.values() if rule.needs is Need.SQUAWK))
_MISSING_RUN = 'missing = "run" lets them run at their place'


def check_history(book: CheckBook, sequence: StepSequence, access: DatabaseAccess) -> LiveDatabase | None:
    """Run the rules about history; writes nothing, takes no lock.

    Does not connect where neither they nor those of squawk are asked for, which look at what is pending.

    Returns:
        What was seen; None where nobody asked.

    Raises:
        OperatorError: the database cannot be reached, or its history is not one to read.
    """
    if not book.wanted(_ASKING):
        return None
    with translating(), access.reading() as reading:
        state = take_survey(session=reading.session, store=reading.store, source=access.source).state
        evidence = HistoryEvidence(reading.session.driver, access.settings.history_schema)
        completions = evidence.completed_otherwise({step.name: step.checksum for step in sequence})
        passed = evidence.passed_over(written_steps(sequence))
        live = LiveDatabase(access, state, reading.session.driver.info.server_version)
    book.database = reading.description
    _judge_history(book, sequence, access, completions, passed)
    _judge_state(book, sequence, access, state)
    return live


def _judge_history(
    book: CheckBook,
    sequence: StepSequence,
    access: DatabaseAccess,
    completions: tuple[Completion, ...],
    passed: tuple[PassedOver, ...],
) -> None:
    accepted = access.settings.check.accepted_checksums
    changed = find_changed_checksums(sequence.by_name, completions, accepted=accepted)
    book.ran([CHECKSUM_CHANGED], changed)
    book.ran([BELOW_BASELINE], find_passed_over(sequence.by_name, passed))


def _judge_state(
    book: CheckBook, sequence: StepSequence, access: DatabaseAccess, state: DatabaseState
) -> None:
    settings = access.settings
    plan = make_plan(sequence, state, plan_options(UpgradeOptions(), access.run_settings))
    gone = [
        name
        for refusal in plan.refusals
        if refusal.reason is RefusalReason.COMPLETED_STEP_GONE
        for name in refusal.subjects
    ]
    book.ran([COMPLETED_COMMAND_GONE], find_gone(gone))
    missing = find_missing(sequence.covered_by(access.app_version), state)
    if settings.missing is MissingPolicy.RUN:
        book.leave_out([MISSING_STEP], _MISSING_RUN)
    else:
        book.ran([MISSING_STEP], find_missing_commands(missing))
    released = settings.released_version
    if released is not None:
        told = {one.step.name for one in missing} | book.steps_found(RELEASED_VERSION_CHANGED)
        others = [step for step in sequence if step.name not in told]  # once is enough
        book.ran([RELEASED_VERSION_CHANGED], find_added_to_released(others, state, released=released))
