"""The formats of `upgrader status`."""

from __future__ import annotations

from enum import StrEnum


class StatusFormat(StrEnum):
    """How a status is written."""

    TEXT = "text"
    JSON = "json"
    PROMETHEUS = "prometheus"
