"""What a worker tells its coordinator: results, how chunks ended, and events that somebody wants to see.

All of it is JSON: nothing that stands in a table is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from upgrader import events
from upgrader.model import AttemptStatus, Blocker, Scope, Step
from upgrader.runner.result import StepResult

_TOLD = (
    events.AuthorLog,
    events.BackfillMoved,
    events.Notice,
    events.StatementExecuted,
    events.StepProgress,
    events.StepRetried,
    events.Waiting,
)
_KINDS: Mapping[str, type[events.Event]] = {kind.__name__: kind for kind in _TOLD}
_BLOCKERS = TypeAdapter(tuple[Blocker, ...])
# Values of parameters may be secret, and are not for a table.
_KEPT_BACK = "parameters"

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkspaceResult:
    """What became of a workspace in a worker's hands.

    Attributes:
        end: as in `WorkspaceFinished`; None where it did not come to an end there.
        steps: its attempts, in order.
    """

    workspace_id: str
    end: str | None
    seconds: float
    steps: tuple[StepResult, ...]
    error: str | None = None


def encode_result(result: WorkspaceResult) -> Body:
    """Write what became of a workspace."""
    return {
        "id": result.workspace_id,
        "end": result.end,
        "seconds": round(result.seconds, 6),
        "error": result.error,
        "steps": [_encode_step(one) for one in result.steps],
    }


def decode_result(body: Body, steps: Mapping[str, Step]) -> WorkspaceResult:
    """Read it."""
    scope = Scope(body["id"])
    return WorkspaceResult(
        body["id"],
        body["end"],
        body["seconds"],
        tuple(_decode_step(one, scope, steps) for one in body["steps"]),
        body["error"],
    )


def _encode_step(one: StepResult) -> list[Any]:
    told: list[Any] = [one.step.name, one.attempt, one.status.value, round(one.seconds, 6), one.tries]
    if one.error is None and not (one.waited_seconds or one.paused_seconds or one.blockers):
        return told
    blockers = [asdict(blocker) for blocker in one.blockers]
    return [*told, one.error, one.waited_seconds, one.paused_seconds, blockers]


def _decode_step(told: Sequence[Any], scope: Scope, steps: Mapping[str, Step]) -> StepResult:
    name, attempt, status, seconds, tries, *more = told
    error, waited, paused, blockers = more or (None, 0.0, 0.0, ())
    return StepResult(
        steps[name],
        scope,
        attempt,
        AttemptStatus(status),
        seconds,
        tries,
        error,
        waited_seconds=waited,
        paused_seconds=paused,
        blockers=_BLOCKERS.validate_python(blockers),
    )


def encode_event(event: events.Event) -> Body | None:
    """Write an event; None for one of which the coordinator hears otherwise, or not at all."""
    kind = type(event).__name__
    if kind not in _KINDS:
        return None
    values = {one.name: getattr(event, one.name) for one in fields(event)}
    values.pop(_KEPT_BACK, None)
    return {"kind": kind, **{name: _plain(value) for name, value in values.items()}}


def decode_event(body: Body, steps: Mapping[str, Step]) -> events.Event | None:
    """Read an event; None for one of a step that is not known here."""
    kind = _KINDS[body["kind"]]
    values: dict[str, Any] = {}
    for name, adapter in _adapters(body["kind"]).items():
        if name == _KEPT_BACK:
            values[name] = None
        elif adapter is Step:
            if body[name] not in steps:
                return None
            values[name] = steps[body[name]]
        elif adapter is Scope:
            values[name] = Scope(body[name])
        else:
            values[name] = adapter.validate_python(body[name])
    return kind(**values)


@cache
def _adapters(name: str) -> dict[str, Any]:
    hints = get_type_hints(_KINDS[name])
    given = {one.name: hints[one.name] for one in fields(_KINDS[name])}
    return {name: hint if hint in (Step, Scope) else TypeAdapter(hint) for name, hint in given.items()}


def _plain(value: object) -> object:
    if isinstance(value, Step):
        return value.name
    if isinstance(value, Scope):
        return value.workspace_id
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
