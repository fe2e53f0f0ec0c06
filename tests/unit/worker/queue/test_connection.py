"""Where the queue is: the first of four places that says so."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from upgrader.errors import SettingsError
from upgrader.settings import Settings
from upgrader.worker.queue.connection import queue_url

MAIN = "postgresql://app:main-secret@db/app?sslmode=require"


def where(database_url: str | None = MAIN, *, explicit: str | None = None, **worker: Any) -> dict[str, str]:
    """Give the parameters of the queue's URL."""
    settings = Settings.model_validate({"database_url": database_url, "worker": worker})
    return {
        key: str(value) for key, value in conninfo_to_dict(queue_url(settings, explicit=explicit)).items()
    }


def test_it_is_in_the_database_where_nothing_else_is_said() -> None:
    """Jobs can be added in the application's transactions there."""
    assert where() == conninfo_to_dict(MAIN)


def test_an_explicit_url_goes_before_the_settings_url_and_that_before_single_values() -> None:
    """The order is that of the reference."""
    given = {"queue_database_url": "postgresql://queue/two", "queue_host": "three"}
    assert where(explicit="postgresql://explicit/one", **given)["host"] == "explicit"
    assert where(**given) == {"host": "queue", "dbname": "two"}


def test_single_values_with_a_host_say_all() -> None:
    """No password of another host's is sent there."""
    assert where(queue_host="queues", queue_port=6432, queue_user="worker", queue_database="jobs") == {
        "host": "queues",
        "port": "6432",
        "user": "worker",
        "dbname": "jobs",
    }


def test_single_values_without_a_host_are_about_the_same_server() -> None:
    """What is not said is that of the database."""
    found = where(queue_database="jobs", queue_sslmode="verify-full")
    assert found == {**conninfo_to_dict(MAIN), "dbname": "jobs", "sslmode": "verify-full"}


def test_single_values_alone_are_enough() -> None:
    """Also beside an embedded database; the host is this machine's then."""
    expected = {"host": "127.0.0.1", "dbname": "jobs", "password": "x y"}
    assert where(None, queue_database="jobs", queue_password="x y") == expected
    assert where("embedded:data", queue_database="jobs", queue_password="x y") == expected


def test_an_embedded_server_may_hold_it() -> None:
    """Its address is handed on as it is."""
    settings = Settings.model_validate({"worker": {"queue_database_url": "embedded:.queue"}})
    assert queue_url(settings) == "embedded:.queue"


def test_none_at_all_is_told() -> None:
    """With the settings that would name one."""
    with pytest.raises(SettingsError, match="no database") as caught:
        where(None)
    assert "queue_database_url" in str(caught.value.hint)
