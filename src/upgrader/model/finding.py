"""What is wrong with a command, as the gate of a pipeline tells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Severity(StrEnum):
    """How bad a finding is. An `info` is told and never fails the gate."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: its name, in words joined by hyphens: `schema-drift`, `require-concurrent-index-creation`.
        message: what is wrong, in one sentence.
        remedy: what to do about it.
        severity: of the rule; settings may change it.
        file: where it stands, absolute; None where it is not about a file.
        line: from 1; None where only the file is known.
        step: the full name of the command that it is about; None where it is about none.
    """

    rule: str
    message: str
    remedy: str
    severity: Severity = Severity.ERROR
    file: Path | None = None
    line: int | None = None
    step: str | None = None
