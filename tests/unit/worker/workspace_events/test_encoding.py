"""Batches as JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from upgrader.worker.workspace_events.batch import UNKNOWN, ObjectMetadata, RecordEvent, WorkspaceEventBatch
from upgrader.worker.workspace_events.encoding import (
    batch_from_json,
    batch_to_json,
    batch_to_plain,
    record_id_to_text,
    to_plain,
)

NOON = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)
ID = UUID("12345678123456781234567812345678")


class Colour(Enum):
    RED = "red"


class Model(BaseModel):
    at: datetime
    amount: Decimal


@dataclass
class Point:
    x: int
    at: date


def _custom(*events: Any) -> WorkspaceEventBatch[Any]:
    return WorkspaceEventBatch("mail.received", "w1", None, events)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        2**70,
        1.5,
        math.inf,
        "text $",
        "nul \x00 and half \ud800 a pair",
        {"key\x00": ["\udc00"]},
        [1, [2]],
        {"a": {"b": 1}},
        {"$": ["datetime", "no"], "b": 1},
        {},
        NOON,
        NOON.replace(tzinfo=None),
        date(2026, 1, 2),
        time(1, 2, 3),
        timedelta(days=-1, microseconds=5),
        Decimal("10.20"),
        ID,
        b"\x00\xff",
        (1, NOON),
        UNKNOWN,
        {"nested": [(ID, {"x": b"y"})]},
    ],
)
def test_values_come_back_as_they_were(value: Any) -> None:
    """Types that JSON has not survive a queue, wherever they stand."""
    batch = _custom(value, {"in": value})
    back = batch_from_json(json.loads(json.dumps(batch_to_json(batch))))
    assert back == batch
    assert type(back.events[0]) is type(value)


def test_records_come_back_as_they_were() -> None:
    """The whole batch does, with its id."""
    event = RecordEvent((1, ID), {"a": UNKNOWN}, {"a": NOON, "b": {"c": [1]}}, ("a",))
    batch = WorkspaceEventBatch("person.updated", None, ObjectMetadata("person", "person", "core"), (event,))
    back = batch_from_json(json.loads(json.dumps(batch_to_json(batch))))
    assert back == batch
    assert back.id == batch.id
    assert back.events[0].before["a"] is UNKNOWN


def test_not_a_number() -> None:
    """JSON has no NaN either."""
    back = batch_from_json(json.loads(json.dumps(batch_to_json(_custom(math.nan)), allow_nan=False)))
    assert math.isnan(back.events[0])


def test_for_others() -> None:
    """Plain JSON has texts, and leaves out what is unknown."""
    event = RecordEvent(1, {"a": UNKNOWN, "b": 1}, {"a": NOON, "b": Decimal("1.50")}, ("a", "b"))
    batch = WorkspaceEventBatch("person.updated", "w1", ObjectMetadata("person", "person"), (event,), "an-id")
    assert batch_to_plain(batch) == {
        "id": "an-id",
        "name": "person.updated",
        "workspace_id": "w1",
        "object": {"name_singular": "person", "table": "person", "schema": None},
        "events": [
            {
                "record_id": 1,
                "before": {"b": 1},
                "after": {"a": "2026-01-02T12:30:00+00:00", "b": "1.50"},
                "updated_fields": ["a", "b"],
            }
        ],
    }


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (b"\xff", "/w=="),
        (timedelta(seconds=1.5), 1.5),
        (math.inf, "inf"),
        ((1, {2}), [1, [2]]),
        (Model(at=NOON, amount=Decimal("1.0")), {"at": "2026-01-02T12:30:00Z", "amount": "1.0"}),
        (Point(1, date(2026, 1, 2)), {"x": 1, "at": "2026-01-02"}),
        (object, "<class 'object'>"),
    ],
)
def test_values_for_others(value: Any, plain: Any) -> None:
    """Whatever JSON has not becomes what comes next to it; at last its text."""
    assert to_plain(value) == plain


def test_models_go_through_a_queue_as_plain_objects() -> None:
    """A queue does not know the class."""
    back = batch_from_json(json.loads(json.dumps(batch_to_json(_custom(Point(1, date(2026, 1, 2)))))))
    assert back.events == ({"x": 1, "at": "2026-01-02"},)


def test_ids_as_text() -> None:
    """A key of several columns has commas in it."""
    assert [record_id_to_text(one) for one in (7, ID, (1, "a"))] == ["7", str(ID), "1,a"]
