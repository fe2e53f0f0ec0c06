"""What is asked of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The flags of `upgrader check`.

    Attributes:
        select: rules that run in place of those that the settings select; none: as the settings say.
        ignore: rules that do not run, beside those that the settings ignore.
        embedded: make the scratch databases on an embedded server of their own.
        scratch_url: make them on this server, beside this empty database.
        uses_database: whether the history of the live database is looked at.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    embedded: bool = False
    scratch_url: str | None = None
    uses_database: bool = True
