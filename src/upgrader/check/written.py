"""What the commands themselves say wrongly: a time to come, a release that is out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from upgrader.check.about_step import finding_about
from upgrader.check.moment import moment_of
from upgrader.check.rules import FUTURE_TIMESTAMP, RELEASED_VERSION_CHANGED
from upgrader.model import Finding, Step
from upgrader.version import ReleaseVersion

SLACK = timedelta(days=1)
"""A timestamp may lie so far ahead: local time taken for UTC is 14 hours off at most, the rest is for clocks."""


def find_future_timestamps(steps: Iterable[Step], *, now: datetime) -> Iterator[Finding]:
    """Tell of commands that are dated later than now and a day."""
    for step in steps:
        moment = moment_of(step.timestamp)
        if moment - now > SLACK:
            yield finding_about(
                step,
                FUTURE_TIMESTAMP,
                f"{step.class_name} has a timestamp in the future: {step.timestamp} is {moment:%Y-%m-%d %H:%M} UTC",
                "take the present time in milliseconds, in the decorator and in the file's name: "
                "`upgrader generate` does",
            )


def find_released_changes(
    steps: Iterable[Step], *, released: ReleaseVersion, released_at: datetime
) -> Iterator[Finding]:
    """Tell of commands of `released` or an earlier version that were written after it was out."""
    for step in steps:
        if step.version <= released and moment_of(step.timestamp) > released_at:
            yield finding_about(
                step,
                RELEASED_VERSION_CHANGED,
                f"{step.class_name} was added to {step.version} at {moment_of(step.timestamp):%Y-%m-%d %H:%M} UTC; "
                f"{released} is out since {released_at:%Y-%m-%d %H:%M} UTC",
                f"give it a version above {released}, in the decorator and in the folder's name",
            )
