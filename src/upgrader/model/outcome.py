"""What a run came to."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended; the CLI maps it to an exit code."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    STOPPED_AT_BARRIER = "stopped-at-barrier"
    INTERRUPTED = "interrupted"
