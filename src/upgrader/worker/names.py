"""Where the runtime keeps its tables, and the modules that it loads from directories."""

from __future__ import annotations

_LONGEST_IDENTIFIER_BYTES = 63
_SUFFIX = "_worker"

JOBS_PACKAGE = "_upgrader_jobs_"
"""With a number behind it, the package that a directory of jobs is loaded as; nobody need see it."""
HEARTBEAT_JOB = "worker.heartbeat"
"""A job that says that the queue works; of those that succeeded only the last is kept."""


def worker_schema(history_schema: str) -> str:
    """Give the schema of queue, ticks and workers: it stands beside that of the history."""
    kept = history_schema.encode()[: _LONGEST_IDENTIFIER_BYTES - len(_SUFFIX)].decode(errors="ignore")
    return kept + _SUFFIX
