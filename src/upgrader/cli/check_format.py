"""The formats of `upgrader check`."""

from __future__ import annotations

from enum import StrEnum


class CheckFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"
    JUNIT = "junit"
