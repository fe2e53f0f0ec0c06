"""A database URL that stands behind a verb: looked at, and its password hidden from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.cli.invocation import Invocation


def known_url(invocation: Invocation, flag: str, url: str) -> str:
    """Give a database URL that the program can read.

    Raises:
        OperatorError: it cannot.
    """
    from upgrader.settings.database_url import check_database_url, passwords_in

    invocation.output.add_secrets(passwords_in(url))
    try:
        return check_database_url(url)
    except ValueError as error:
        raise OperatorError(
            f"{flag}: {error}", hint=f"for example {flag} postgresql://user@host/scratch"
        ) from error
