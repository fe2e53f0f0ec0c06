"""What happens in a run, as log records with its ids: a sink of its events."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from upgrader import events
from upgrader.model import Scope, Step, Workspace
from upgrader.version import ReleaseVersion

PAUSE_SECONDS = 10.0
"""What is sent every second is logged no more often."""
_OFTEN = (events.Waiting, events.StepProgress, events.BackfillMoved)
_ONLY_VERBOSE = (events.StatementExecuted, events.StepStarted, events.LanesChanged)
_LEFT_OUT = ("message", "level", "blockers", "parameters", "index", "wait")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LEVELS = {
    "debug": logging.DEBUG,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.ERROR,
}


class EventLog:
    """Logs events; each record has `event`, `run_id`, and the step and workspace that it is about."""

    def __init__(
        self,
        *,
        is_verbose: bool = False,
        shows_parameters: bool = False,
        clock: Callable[[], float] = time.monotonic,
        logger: str = "upgrader.run",
    ) -> None:
        """Log nothing yet.

        Args:
            is_verbose: also statements, and the beginning of each step.
            shows_parameters: with the parameters of the statements.
        """
        self._is_verbose = is_verbose
        self._shows_parameters = shows_parameters
        self._clock = clock
        self._logger = logging.getLogger(logger)
        self._run_id: str | None = None
        self._told: dict[tuple[object, ...], float] = {}

    def __call__(self, event: events.Event) -> None:
        """Take an event."""
        if isinstance(event, events.RunStarted):
            self._run_id = event.run_id
        if isinstance(event, _ONLY_VERBOSE) and not self._is_verbose:
            return
        told = event_fields(event)
        if isinstance(event, _OFTEN) and not self._is_due(told, event):
            return
        if self._shows_parameters and isinstance(event, events.StatementExecuted):
            told["parameters"] = repr(event.parameters)
        self._logger.log(_level(event), "%s", _message(event), extra={"run_id": self._run_id, **told})

    def _is_due(self, told: Mapping[str, Any], event: events.Event) -> bool:
        if getattr(event, "is_finished", False):
            return True
        key = (type(event), told.get("step"), told.get("workspace_id"), told.get("label"))
        now = self._clock()
        if key in self._told and now - self._told[key] < PAUSE_SECONDS:
            return False
        self._told[key] = now
        return True


def event_fields(event: events.Event) -> dict[str, Any]:
    """Give an event as plain values by the names that log lines have for them."""
    found: dict[str, Any] = {"event": _name(event)}
    for one in fields(event):
        value = getattr(event, one.name)
        if one.name in _LEFT_OUT or value is None:
            continue
        match value:
            case Step():
                found |= {"step": value.name, "version": value.version.text}
            case Scope():
                found |= {} if value.is_instance else {"workspace_id": value.workspace_id}
            case Workspace():
                found["workspace_id"] = value.id
            case ReleaseVersion():
                found["version"] = value.text
            case Enum():
                found[one.name] = value.value
            case str() | int() | float():
                found["step" if one.name == "step_name" else one.name] = value
            case Mapping():
                found[one.name] = dict(value)
    return found


def _name(event: events.Event) -> str:
    return _WORD.sub("-", type(event).__name__).lower()


def _level(event: events.Event) -> int:
    match event:
        case events.Notice() | events.AuthorLog():
            return _LEVELS.get(event.level.lower(), logging.INFO)
        case events.PreflightFound() | events.StepRetried() | events.StopRequested():
            return logging.WARNING
        case events.StepFinished() | events.WorkspaceFinished() if event.error is not None:
            is_failure = getattr(event, "result", "failed") == "failed"
            return logging.ERROR if is_failure else logging.WARNING
        case events.StatementExecuted():
            return logging.INFO
    return logging.INFO


def _message(event: events.Event) -> str:
    match event:
        case events.Notice() | events.AuthorLog() | events.Waiting():
            return event.message
        case events.PreflightFound():
            return event.finding.message
        case events.StatementExecuted():
            return " ".join(event.statement.split())
        case events.StepFinished():
            return f"{event.step.name} on {_place(event.scope)}: {event.status.value}"
        case events.StepStarted():
            return f"{event.step.name} on {_place(event.scope)} begins"
        case events.StepRetried():
            return f"{event.step.name} on {_place(event.scope)} is tried again: {event.reason}"
        case events.WorkspaceFinished():
            return f"workspace {event.workspace.id}: {event.result}"
    return _name(event).replace("-", " ")


def _place(scope: Scope) -> str:
    return "the instance" if scope.is_instance else f"workspace {scope.workspace_id}"
