"""What `downgrade --steps N` set out to take back, kept until it has done so.

The last N steps are others once some of them are gone: a downgrade that was cut off finds here which it meant.
"""

from __future__ import annotations

import json
from collections.abc import Collection

import psycopg

from upgrader.database.connect import identifier
from upgrader.history.layout import read_layout_version

_KEY = "steps-back"


class StepsBack:
    """The record in the table `meta`. Each method is one or two statements in autocommit."""

    def __init__(self, driver: psycopg.Connection, schema: str) -> None:
        """Read nothing yet."""
        self._driver = driver
        self._schema = schema
        self._meta = identifier(schema, "meta").replace("%", "%%")
        self._history = identifier(schema, "history").replace("%", "%%")

    def unfinished(self, count: int) -> frozenset[str] | None:
        """Give the steps that an unfinished downgrade by `count` steps meant; None where there is none.

        Whatever has run upwards since makes an end of it.
        """
        if read_layout_version(self._driver, self._schema) is None:
            return None
        row = self._driver.execute(
            f"select value from {self._meta} where key = %s".encode(), [_KEY]
        ).fetchone()
        if row is None:
            return None
        found = json.loads(row[0])
        if found["count"] != count or self._went_up_since(found["after"]):
            return None
        return frozenset(found["names"])

    def begin(self, count: int, names: Collection[str]) -> None:
        """Keep what is about to be taken back."""
        row = self._driver.execute(f"select max(id) from {self._history}".encode(), []).fetchone()
        value = json.dumps({"count": count, "names": sorted(names), "after": (row[0] if row else None) or 0})
        self._driver.execute(
            f"insert into {self._meta} (key, value) values (%s, %s)"
            " on conflict (key) do update set value = excluded.value".encode(),
            [_KEY, value],
        )

    def end(self) -> None:
        """Forget it: it is done."""
        self._driver.execute(f"delete from {self._meta} where key = %s".encode(), [_KEY])

    def _went_up_since(self, after: int) -> bool:
        row = self._driver.execute(
            f"select exists (select from {self._history}"
            " where id > %s and direction = 'up' and not is_initial)".encode(),
            [after],
        ).fetchone()
        return row == (True,)
