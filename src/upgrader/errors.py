"""The errors of the product, as one tree.

    UpgraderError                    every error that the product raises on purpose
    ├── OperatorError                refused before anything ran: somebody has to change something
    │   ├── InvalidVersionError      a text that is no release version
    │   ├── SettingsError            a file, variable or flag that is wrong
    │   ├── LoadingError             command modules that cannot be loaded or collide (carries all problems)
    │   ├── DatabaseUnavailableError no connection: unreachable, wrong password, no such database
    │   ├── EmbeddedServerError      the embedded PostgreSQL cannot be started or used
    │   ├── LayoutError              the history schema is newer than this program, or cannot be made
    │   ├── WorkspaceSourceError     the workspace table, a column of it or the provider is not as configured
    │   ├── UnknownWorkspaceError    an id that is not there
    │   ├── PreflightError           the database is not fit for a run (carries what was found)
    │   └── RefusedError             the plan says no (missing, ahead, not enrolled, unsupported, …)
    ├── LockHeldError                another upgrade holds the run lock
    ├── RunError                     a run that ended before its plan did
    │   ├── RunSupersededError       the run lock's connection was lost
    │   └── ConnectionLostError      the server ended a connection of the run
    │       └── NoConnectionError    it gives no new one
    └── StepError                    a step failed
        ├── GuardError               a command did to its connection what it may not do
        └── IrreversibleError        a command cannot be taken back: what it removed is gone

The CLI alone maps a class to an exit code. `message` says what is wrong; `hint` what to type or change next.
A class's docstring is its default message.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.model.preflight import PreflightFinding


class UpgraderError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message if message is not None else inspect.getdoc(type(self)) or type(self).__name__
        self.hint = hint
        super().__init__(self.message)


class OperatorError(UpgraderError):
    """The request was refused before anything ran."""


class InvalidVersionError(OperatorError, ValueError):
    """This is not a release version of the form MAJOR.MINOR.PATCH."""


class SettingsError(OperatorError):
    """The settings are not usable."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in the command modules.

    Attributes:
        message: what is wrong, in one sentence.
        places: where, as `file` or `file:line`, in reading order.
        remedy: what to change.
        is_collision: each of the commands at these places is right by itself.
    """

    message: str
    places: tuple[str, ...]
    remedy: str | None = None
    is_collision: bool = False


class LoadingError(OperatorError):
    """The command modules cannot be used."""

    def __init__(
        self, problems: Sequence[Problem], *, hint: str | None = None, where: str = "the command modules"
    ) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(
            f"{count} {noun} in {where}",
            hint=hint or "nothing was run; mend the files named above",
        )


class DatabaseUnavailableError(OperatorError):
    """The database cannot be reached."""


class EmbeddedServerError(OperatorError):
    """The embedded PostgreSQL server cannot be used."""


class LayoutError(OperatorError):
    """The history schema cannot be used by this version of the program."""


class WorkspaceSourceError(OperatorError):
    """The workspaces cannot be listed."""


class UnknownWorkspaceError(OperatorError):
    """There is no workspace of that id."""


class PreflightError(OperatorError):
    """The database is not fit for a run."""

    def __init__(self, findings: Sequence[PreflightFinding]) -> None:
        """Take what was found, of which something refuses the run."""
        self.findings = tuple(findings)
        refused = [finding for finding in self.findings if finding.level == "refuse"]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        super().__init__(f"{refused[0].message}{more}", hint=refused[0].hint)


class RefusedError(OperatorError):
    """The plan cannot be run as it stands."""


class LockHeldError(UpgraderError):
    """Another upgrade of this database is running."""


class RunError(UpgraderError):
    """The run ended before its plan did."""


class RunSupersededError(RunError):
    """The run lock was lost, another run may have begun."""


class ConnectionLostError(RunError):
    """The connection to the server was lost."""


class NoConnectionError(ConnectionLostError):
    """A connection of the run could not be opened (again); what was done on it is committed or rolled back."""


class StepError(UpgraderError):
    """The step failed."""


class GuardError(StepError):
    """The command ended its transaction or did something else that its connection does not allow."""


class IrreversibleError(StepError):
    """The step cannot be taken back."""


class Terminated(BaseException):
    """SIGTERM came to something that does not end in a way of its own.

    Not SystemExit: that an author's code may raise itself.
    """

    def __init__(self, hint: str | None = None) -> None:
        """Take what whoever reads of it should know."""
        super().__init__(hint)
        self.hint = hint
