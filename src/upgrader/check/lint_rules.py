"""Runs squawk over what the commands executed: those that can still be changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upgrader.check.book import CheckBook
from upgrader.check.live import LiveDatabase
from upgrader.check.rule import Need
from upgrader.check.rules import RULES
from upgrader.check.scratch import Scratch
from upgrader.database.connect import Connector
from upgrader.errors import OperatorError
from upgrader.lint.partitions import find_partitioned
from upgrader.lint.program import find_program
from upgrader.lint.sizes import TableSizes, describe_tables
from upgrader.lint.squawk import lint_steps
from upgrader.model import Step, StepStatements
from upgrader.settings import Settings

_LINT_RULES = tuple(rule for rule in RULES.values() if rule.needs is Need.SQUAWK)


def check_statements(
    book: CheckBook,
    statements: Sequence[StepStatements],
    *,
    settings: Settings,
    scratch: Scratch,
    scratch_url: str,
    live: LiveDatabase | None,
) -> None:
    """Run the rules about statements; without squawk they are left out.

    A command of a release that is out, or that is completed everywhere in the live database, is not looked at:
    it can no longer be changed, not even by a comment in its SQL.

    Args:
        scratch: whose server they ran on; its version counts where there is no live database.
        scratch_url: of the database in which they ran.

    Raises:
        OperatorError: squawk fails, or does not know a rule that is ignored.
    """
    try:
        find_program()
    except OperatorError as error:
        book.leave_out(_LINT_RULES, f"{error.message}; {error.hint}")
        return
    open_ones = [one for one in statements if _is_open(one.step, settings, live)]
    _note_closed(book, {one.step for one in statements} - {one.step for one in open_ones})
    ignored = [name for name in sorted(book.selection.ignored) if name in RULES and RULES[name].is_squawks]
    findings = lint_steps(
        open_ones,
        server_version=live.server_version if live else scratch.server_version,
        exclude=ignored,
        sizes=_sizes(live, open_ones),
        partitioned=_partitioned(scratch_url, live, open_ones),
    )
    book.ran(_LINT_RULES, findings)


def _is_open(step: Step, settings: Settings, live: LiveDatabase | None) -> bool:
    released = settings.released_version
    if released is not None and step.version <= released:
        return False
    return live is None or live.is_pending(step)


def _note_closed(book: CheckBook, closed: Iterable[Step]) -> None:
    count = len(set(closed))
    if count:
        what = "1 command" if count == 1 else f"{count} commands"
        book.note([f"the SQL of {what} was not linted: released or completed, and so not to be changed"])


def _partitioned(
    scratch_url: str, live: LiveDatabase | None, statements: Sequence[StepStatements]
) -> frozenset[str]:
    """Look where they ran, and in the live database: an index that they have dropped is there alone."""
    if not statements:
        return frozenset()
    with Connector(scratch_url, "upgrader check").connect() as driver:
        found = find_partitioned(driver, statements)
    if live is not None:
        with live.access.reading() as reading:
            found |= find_partitioned(reading.session.driver, statements)
    return found


def _sizes(live: LiveDatabase | None, statements: Sequence[StepStatements]) -> TableSizes | None:
    if live is None or not statements:
        return None
    with live.access.reading() as reading:
        return describe_tables(reading.session.driver, statements)
