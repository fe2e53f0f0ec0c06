"""The statements that a command issued, with the lines of its code that issued them."""

from __future__ import annotations

from dataclasses import dataclass, field

from upgrader.model.attempt import Direction
from upgrader.model.step import Step


@dataclass(frozen=True, slots=True)
class CapturedStatement:
    """One statement.

    Attributes:
        text: as the driver was given it: parameters are `%(name)s`, `%s` or whatever the author wrote.
        file: of the author's line that issued it, absolute; None where no line is known.
        line: from 1.
        in_transaction: whether a transaction was open.
        escapes_percent: whether `%%` in it stands for `%`, as it does wherever parameters may come with it.
        is_helped: whether a helper of the product sent it for that line.
        transaction: the same number for all that was issued in one transaction; no more is meant by it.
    """

    text: str
    file: str | None = None
    line: int | None = None
    in_transaction: bool = True
    escapes_percent: bool = False
    is_helped: bool = False
    transaction: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class StepStatements:
    """What one step issued, in order, each text of a line once.

    Attributes:
        left_out: how many times a statement was not kept: there were too many, or it was too long.
    """

    step: Step
    direction: Direction
    statements: tuple[CapturedStatement, ...]
    left_out: int = 0

    @property
    def transactional(self) -> bool:
        """Whether the step runs in a transaction (its data migration opens its own)."""
        return self.step.transactional
