"""A workspace that was set aside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a workspace is left alone, and since when.

    Attributes:
        reason: in the words of whoever set it aside.
        by: the role, and the host and process it came from.
        executed_by_version: the `app_version` it was done with.
        age_seconds: how long ago that was when it was read, by the server's clock.
    """

    reason: str
    by: str
    since: datetime
    executed_by_version: str
    age_seconds: float = 0.0
