"""Cron expressions: read as cron reads them."""

from __future__ import annotations

import pytest

from upgrader.worker.scheduling.cron import CronExpression, CronFields, parse_cron


def test_six_fields_have_seconds_first() -> None:
    (fields,) = parse_cron("*/30 15 3 * * *")
    assert fields == CronFields("0,30", "15", "3", "*", "*", "*")


def test_five_fields_have_none() -> None:
    (fields,) = parse_cron("*/5 * * * *")
    assert fields == CronFields("0", "0,5,10,15,20,25,30,35,40,45,50,55", "*", "*", "*", "*")


@pytest.mark.parametrize(
    ("written", "from_monday"),
    [
        ("0", "6"),
        ("7", "6"),
        ("sun", "6"),
        ("1", "0"),
        ("mon", "0"),
        ("1-5", "0,1,2,3,4"),
        ("mon-fri", "0,1,2,3,4"),
        ("mon-fri/2", "0,2,4"),
        ("6,0", "5,6"),
        ("fri-sun", "4,5,6"),
        ("5-7", "4,5,6"),
        ("*/2", "1,3,5,6"),
        ("0-7", "*"),
        ("?", "*"),
    ],
)
def test_weekdays_are_crons_and_not_those_of_the_trigger(written: str, from_monday: str) -> None:
    """In cron 0 and 7 are Sunday; `CronTrigger` counts from Monday, 0."""
    (fields,) = parse_cron(f"0 0 * * {written}")
    assert fields.day_of_week == from_monday


def test_either_day_is_enough_where_both_are_restricted() -> None:
    """Friday or the 13th, as in cron: not Friday the 13th."""
    assert [(one.day, one.day_of_week) for one in parse_cron("0 0 13 * 5")] == [("13", "*"), ("*", "4")]


def test_steps_and_names_are_taken_that_the_trigger_refuses() -> None:
    (fields,) = parse_cron("0 0 1 */12 *")
    assert fields.month == "1"
    (fields,) = parse_cron("0 0 L jan,JUL *")
    assert (fields.day, fields.month) == ("last", "1,7")
    assert parse_cron("@daily") == parse_cron("0 0 * * *")


@pytest.mark.parametrize("expression", list(CronExpression))
def test_every_named_expression_can_be_read(expression: CronExpression) -> None:
    assert parse_cron(expression)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("60 * * * * *", "60 in '60 * * * * *' is no second: they are 0 to 59"),
        ("0 24 * * *", "24 in '0 24 * * *' is no hour"),
        ("0 0 0 * *", "0 in '0 0 0 * *' is no day of the month: they are 1 to 31"),
        ("0 0 * * 8", "8 in '0 0 * * 8' is no day of the week"),
        ("0 0 * * mob", "'mob' in"),
        ("0 0 * * 5#3", "'5#3' in"),
        ("*/0 * * * *", "a step of 0"),
        ("5-1 * * * *", "ends before it begins"),
        ("0 0 * * fri-mon", "ends before it begins"),
        ("1,,2 * * * *", "'' in"),
        ("-5 * * * *", "'-5' in"),
        ("٣ * * * *", "'٣' in"),
    ],
)
def test_what_is_wrong_is_said(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_cron(expression)
    assert said in str(raised.value)
