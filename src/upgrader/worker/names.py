"""Where the runtime keeps its tables."""

from __future__ import annotations

_LONGEST_IDENTIFIER_BYTES = 63
_SUFFIX = "_worker"

HEARTBEAT_JOB = "worker.heartbeat"
"""A job that says that the queue works; of those that succeeded only the last is kept."""


def worker_schema(history_schema: str) -> str:
    """Give the schema of queue, ticks and workers: it stands beside that of the history."""
    kept = history_schema.encode()[: _LONGEST_IDENTIFIER_BYTES - len(_SUFFIX)].decode(errors="ignore")
    return kept + _SUFFIX
