"""Numbers that are given on the command line, or by a variable where that is read too early."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

Number = TypeVar("Number", int, float)


def number_of(config: pytest.Config, option: str, default: Number) -> Number:
    """Give an option's number, else that of its variable (`--kill-seed`, `UPGRADER_TEST_KILL_SEED`)."""
    given: Number | None = config.getoption(option, default=None)
    if given is not None:
        return given
    variable = "UPGRADER_TEST_" + option.removeprefix("--").replace("-", "_").upper()
    return type(default)(os.environ.get(variable, default))
