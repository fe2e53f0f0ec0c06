"""Proving before a step's transaction that a column holds no NULL, for a step that could not go on without."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection

from upgrader.database.not_null import (
    Nullable,
    ProofNeeded,
    is_broken_by_null,
    look_at,
    proof,
    refuse_nulls,
    withdrawal,
)
from upgrader.errors import StepError

Work = Callable[[Connection], None]
"""What is done in one transaction."""


class NotNullProofs:
    """The proofs of one attempt at a step: check constraints, validated while the application works.

    A run that is killed leaves the constraint behind; the next attempt finds it by its name and goes on with it.
    """

    def __init__(
        self, repeat: Callable[[Callable[[], None]], None], transaction: Callable[[Work], None]
    ) -> None:
        """Prove nothing yet.

        Args:
            repeat: calls one transaction, and again after a lock timeout.
            transaction: does work in a transaction and commits it.
        """
        self._repeat = repeat
        self._transaction = transaction
        self._given: dict[tuple[str, str], ProofNeeded] = {}

    def give(self, needed: ProofNeeded) -> None:
        """Prove that a column holds no NULL; the step can be begun anew then.

        Raises:
            StepError: there are NULLs, or table or column are there only within the step's own transaction.
        """
        key = (needed.relation, needed.column)
        if key in self._given:
            raise needed  # somebody has taken the check away
        self._given[key] = needed
        found = self._look(needed)
        if found.own_check is None:
            self._do(lambda connection: refuse_nulls(connection, found))
        try:
            for statement in proof(found):
                self._execute(statement)
        except Exception as error:
            if not is_broken_by_null(error):
                raise
            self._withdraw(needed)
            self._do(lambda connection: refuse_nulls(connection, found))
            raise

    def withdraw_after(self, error: Exception) -> None:
        """Take back what was proven: of a failed step nothing is left behind. What stays is noted on its error."""
        for needed in self._given.values():
            try:
                self._withdraw(needed)
            except Exception as other:
                error.add_note(
                    f"the check of set_not_null() on {needed.relation} is still there ({other}); the next attempt"
                    " goes on with it"
                )

    def _look(self, needed: ProofNeeded) -> Nullable:
        found: list[Nullable] = []
        try:
            self._do(lambda connection: found.append(look_at(connection, needed.relation, needed.column)))
        except StepError as error:
            raise StepError(
                f"{needed.relation}.{needed.column} is not there outside of this step's transaction, and the table"
                " is large",
                hint="add it in a fast command, fill it in a slow one, and call set_not_null() there",
            ) from error
        return found[-1]

    def _withdraw(self, needed: ProofNeeded) -> None:
        with suppress(StepError):  # the table is gone, and its check with it
            for statement in withdrawal(self._look(needed)):
                self._transaction(_executing(statement))

    def _execute(self, statement: str) -> None:
        self._do(_executing(statement))

    def _do(self, work: Work) -> None:
        self._repeat(lambda: self._transaction(work))


def _executing(statement: str) -> Work:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    return work
