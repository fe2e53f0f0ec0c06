"""A few of the demo's workspaces: the base on which `upgrader check` runs the commands of this repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.demo.before import prepare

if TYPE_CHECKING:
    from sqlalchemy import Connection

# One of each kind: a single city, none with people in it, no capital, dozens; inactive, suspended, active.
_COUNTRIES = frozenset({"AM", "AX", "BQ", "MH", "PW", "TV", "UY"})


def prepare_sample(connection: Connection) -> None:
    """Make the database of release 1.20.0 with few workspaces; each of its tables has rows, as in the whole one.

    All of it happens in the caller's transaction, which the caller commits.

    Raises:
        OperatorError: as `prepare`.
    """
    prepare(connection, only=_COUNTRIES)
