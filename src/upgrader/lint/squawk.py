"""The SQL that steps executed, read by squawk; every finding leads to the line that issued the statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from upgrader.lint.capture import LONGEST_STATEMENT, MOST_OF_A_LINE
from upgrader.lint.ignores import unused_ignores
from upgrader.lint.outside_transaction import outside_only
from upgrader.lint.partitions import is_quick_beginning, remedy_of_partitioned
from upgrader.lint.program import Remark, Squawk
from upgrader.lint.remedies import remedy_of
from upgrader.lint.sizes import TableSizes
from upgrader.lint.step_file import StepFile
from upgrader.lint.transactions import read_transactions
from upgrader.model import CapturedStatement, Direction, Finding, Severity, StepStatements

CONCURRENTLY_IN_TRANSACTION = "concurrently-in-transaction"
UNUSED_IGNORE = "unused-ignore"
SYNTAX_ERROR = "syntax-error"
NOT_LINTED = "not-linted"
OWN_RULES = frozenset({CONCURRENTLY_IN_TRANSACTION, UNUSED_IGNORE, SYNTAX_ERROR, NOT_LINTED})

# The runner sets these itself, for each step.
_TAKEN_CARE_OF = frozenset({"require-lock-timeout", "require-statement-timeout", "require-timeout-settings"})
# A way down takes away what the way up has made, and runs before the older application comes back.
_MEANT_ON_THE_WAY_DOWN = ("ban-drop-", "renaming-")
_ROBUST = "prefer-robust-stmts"
# create_index_concurrently() and set_not_null() are repeatable, and scan no table under a lock.
_SEEN_TO_BY_HELPERS = (_ROBUST, "adding-not-nullable-field", "constraint-missing-not-valid")
_TOLD_BY_OUR_OWN = ("ban-concurrent-index-creation-in-transaction", _ROBUST)


def lint_steps(
    steps: Sequence[StepStatements],
    *,
    server_version: int | str,
    exclude: Sequence[str] = (),
    sizes: TableSizes | None = None,
    partitioned: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Find what is dangerous in the statements of steps; reads no database. A step takes a few milliseconds.

    Args:
        server_version: of the server that the steps will meet: 180004, or a text that begins with `18.4`.
        exclude: rules that are off, squawk's and our own.
        sizes: of the tables in a live database, from `describe_tables`.
        partitioned: which names are partitioned tables or their indexes, from `find_partitioned`.

    Raises:
        OperatorError: squawk is not installed, cannot be run, or knows no rule of `exclude`.
    """
    if not steps:
        return []
    squawk = Squawk(
        server_version=server_version, exclude=[rule for rule in exclude if rule not in OWN_RULES]
    )
    lints = (_StepLint(step, squawk, sizes or TableSizes(), partitioned) for step in steps)
    found = (one for lint in lints for one in lint.findings())
    return list(dict.fromkeys(one for one in found if one.rule not in exclude))


class _StepLint:
    """The lint of one step."""

    def __init__(
        self, step: StepStatements, squawk: Squawk, sizes: TableSizes, partitioned: frozenset[str]
    ) -> None:
        self._step = step
        self._squawk = squawk
        self._sizes = sizes
        self._partitioned = partitioned

    def findings(self) -> Iterator[Finding]:
        statements = self._step.statements
        yield from self._in_transaction(statements)
        file = StepFile.of(statements)
        remarks = self._read(file)
        while (broken := _first_broken(remarks)) is not None:
            # One that cannot be parsed would silence everything else.
            index = file.index_at(broken.line)
            yield self._unread(file.statements[index], broken)
            file = file.without(index)
            remarks = self._read(file)
        for remark in remarks:
            if self._is_wanted(remark, file.statement_at(remark.line)):
                yield self._finding(remark, file)
        yield from self._unused(file, remarks)
        yield from self._left_out()

    def _read(self, file: StepFile, text: str | None = None) -> list[Remark]:
        def read(text: str, in_transaction: bool) -> list[Remark]:
            return self._squawk.read(text, in_transaction=in_transaction)

        return read_transactions(file, file.text if text is None else text, read) if file.statements else []

    def _in_transaction(self, statements: Sequence[CapturedStatement]) -> Iterator[Finding]:
        for statement in statements:
            words = outside_only(statement.text) if statement.in_transaction else None
            if words is not None:
                yield self._at(
                    statement,
                    CONCURRENTLY_IN_TRANSACTION,
                    f"{words} cannot run inside a transaction",
                    "put it into a command of its own with transactional=False",
                    Severity.ERROR,
                )

    def _is_wanted(self, remark: Remark, statement: CapturedStatement) -> bool:
        rule = remark.rule
        if rule in _TAKEN_CARE_OF or rule == UNUSED_IGNORE:  # of ours, which knows more
            return False
        if rule in _SEEN_TO_BY_HELPERS and statement.is_helped:
            return False
        if is_quick_beginning(rule, statement.text, self._partitioned):
            return False
        if self._step.direction is Direction.DOWN and rule.startswith(_MEANT_ON_THE_WAY_DOWN):
            return False
        return not (
            rule in _TOLD_BY_OUR_OWN and statement.in_transaction and outside_only(statement.text) is not None
        )

    def _finding(self, remark: Remark, file: StepFile) -> Finding:
        statement = file.statement_at(remark.line)
        sizes = self._sizes.of(statement.text, in_workspace=self._step.step.is_workspace)
        fragment = file.fragment(remark.line, remark.column, remark.last_line, remark.last_column)
        details = "; ".join(filter(None, [fragment, *map(str, sizes)]))
        return self._at(
            statement,
            remark.rule,
            f"{remark.message.rstrip('.')} ({details})" if details else remark.message,
            remedy_of(
                remark.rule,
                remark.help,
                special=remedy_of_partitioned(remark.rule, statement.text, self._partitioned),
            ),
            Severity.ERROR if remark.level.lower() == "error" else Severity.WARNING,
        )

    def _unused(self, file: StepFile, remarks: Sequence[Remark]) -> Iterator[Finding]:
        unknown = {
            remark.message.removeprefix("unknown name ") for remark in remarks if remark.rule == UNUSED_IGNORE
        }
        for unused in unused_ignores(file.text, remarks, partial(self._read, file)):
            why = "squawk knows no such rule" if unused.rule in unknown else "there is nothing to ignore"
            yield self._at(
                file.statement_at(unused.line),
                UNUSED_IGNORE,
                f"squawk-ignore {unused.rule}: {why}",
                "take the comment away",
                Severity.WARNING,
            )

    def _unread(self, statement: CapturedStatement, remark: Remark) -> Finding:
        return self._at(
            statement,
            SYNTAX_ERROR,
            f"squawk could not read this statement, and nothing looked at it: {remark.message}",
            "look at it yourself; the server may understand it all the same",
            Severity.INFO,
        )

    def _left_out(self) -> Iterator[Finding]:
        if self._step.left_out:
            last = self._step.statements[-1] if self._step.statements else CapturedStatement("")
            yield self._at(
                last,
                NOT_LINTED,
                f"{self._step.left_out:,} statements of this step were not looked at: of one line the first"
                f" {MOST_OF_A_LINE} different ones are, and none over {LONGEST_STATEMENT:,} characters",
                "hand values over as parameters, so that statements do not differ",
                Severity.INFO,
            )

    def _at(
        self, statement: CapturedStatement, rule: str, message: str, remedy: str, severity: Severity
    ) -> Finding:
        return Finding(
            rule=rule,
            message=message,
            remedy=remedy,
            severity=severity,
            file=Path(statement.file) if statement.file else None,
            line=statement.line,
            step=self._step.step.name,
        )


def _first_broken(remarks: Sequence[Remark]) -> Remark | None:
    broken = [remark for remark in remarks if remark.rule == SYNTAX_ERROR]
    return min(broken, key=lambda remark: (remark.line, remark.column)) if broken else None
