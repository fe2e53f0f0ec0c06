"""Texts in the encoding of a database, which need not be UTF-8."""

from __future__ import annotations

import psycopg


def storable(text: str, driver: psycopg.Connection) -> str:
    """Give a text that the database can hold: one that is not in UTF-8 lacks most letters."""
    encoding = driver.info.parameter_status("server_encoding")
    return text if encoding in ("UTF8", "SQL_ASCII") else in_ascii(text)


def in_ascii(text: str) -> str:
    r"""Write a text in ASCII, other characters as `\xe9` or `\u4e2d`."""
    return text.encode("ascii", errors="backslashreplace").decode()
