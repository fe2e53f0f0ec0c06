"""What a log line is about, wherever it is logged: the run, the workspace and the step that the code is called for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_fields: ContextVar[Mapping[str, object]] = ContextVar("upgrader_log_fields", default={})  # noqa: B039 - never written


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Let every line that is logged in the block carry these: `run_id`, `workspace_id`, `step`; None is left out."""
    given = {name: value for name, value in fields.items() if value}
    token = _fields.set({**_fields.get(), **given})
    try:
        yield
    finally:
        _fields.reset(token)


def current_log_fields() -> Mapping[str, object]:
    """Give what a line that is logged here is about."""
    return _fields.get()
