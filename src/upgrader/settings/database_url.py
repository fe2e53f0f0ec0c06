"""What a database URL is, told from its text alone: its kind, and the secrets in it."""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import unquote

EMBEDDED_PREFIX = "embedded:"
_URI_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]*?)://")
_SECRET_PARAMETERS = ("password", "sslpassword", "passwd", "pwd")
_KEYWORD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*")
_QUOTED_VALUE = re.compile(r"'([^'\\]*+(?:\\.[^'\\]*+)*+)'", re.DOTALL)
_BARE_VALUE = re.compile(r"([^\s\\]*+(?:\\.?[^\s\\]*+)*+)", re.DOTALL)


class DatabaseUrlKind(StrEnum):
    """How a database is named."""

    EMBEDDED = "embedded"
    URI = "uri"
    KEYWORDS = "keywords"


def database_url_kind(url: str) -> DatabaseUrlKind:
    """Tell how `url` names its database.

    Raises:
        ValueError: in none of the three ways. The message never holds more of `url` than its scheme.
    """
    if url.startswith(EMBEDDED_PREFIX):
        if not embedded_path(url):
            raise ValueError(
                "it names no directory: write embedded:PATH, for example embedded:.upgrader/pgdata"
            )
        return DatabaseUrlKind.EMBEDDED
    scheme = _SCHEME.match(url)
    if scheme is not None:
        return _uri_kind(scheme[1])
    parse_keywords(url)
    return DatabaseUrlKind.KEYWORDS


def check_database_url(url: str) -> str:
    """Give `url` without the spaces around it.

    Raises:
        ValueError: it names no database in any of the three ways.
    """
    url = url.strip()
    if not url:
        raise ValueError("it is empty")
    if "\x00" in url:
        raise ValueError("it has a NUL character")
    database_url_kind(url)
    return url


def embedded_path(url: str) -> str:
    """Give the PATH of `embedded:PATH`."""
    return url.removeprefix(EMBEDDED_PREFIX).strip()


def parse_keywords(text: str) -> dict[str, str]:
    r"""Read a libpq keyword string: `host=db password='it\'s'`.

    Raises:
        ValueError: it is not of that form. The message holds nothing of `text`.
    """
    values: dict[str, str] = {}
    at, end = 0, len(text.rstrip())
    while at < end:
        keyword = _KEYWORD.match(text, at, end)
        if keyword is None:
            raise ValueError(
                "it is neither a URI (postgresql://user@host/database), nor keywords (host=… dbname=…), "
                "nor embedded:PATH"
            )
        pattern = _QUOTED_VALUE if text.startswith("'", keyword.end()) else _BARE_VALUE
        value = pattern.match(text, keyword.end(), end)
        if value is None:
            raise ValueError(f"the value of {keyword[1]} has no closing quote")
        values[keyword[1]] = re.sub(r"\\(.?)", r"\1", value[1], flags=re.DOTALL)
        at = value.end()
    return values


def passwords_in(url: str) -> tuple[str, ...]:
    """Give every password in `url`, as written and decoded; empty where there is none. Never raises."""
    scheme = _SCHEME.match(url)
    if scheme is not None:
        found = _uri_passwords(url[scheme.end() :])
    elif url.startswith(EMBEDDED_PREFIX):
        found = []
    else:
        found = _keyword_passwords(url)
    return tuple(dict.fromkeys(value for value in found if value))


def _uri_kind(scheme: str) -> DatabaseUrlKind:
    if scheme.lower() in _URI_SCHEMES:
        return DatabaseUrlKind.URI
    if "postgres" in scheme.lower():
        raise ValueError(f"its scheme {scheme}:// is not known: write postgresql://…")
    raise ValueError(
        f"its scheme {scheme}:// is not PostgreSQL's: only PostgreSQL is upgraded, postgresql://…"
    )


def _uri_passwords(rest: str) -> list[str]:
    authority = re.match(r"[^/?#]*", rest)
    userinfo, at, _ = (authority[0] if authority else "").rpartition("@")
    if not at:  # a password with a bare / ? or # in it: libpq will refuse the URL, and may show it
        userinfo = rest.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    found = [password, unquote(password)]
    _, _, query = rest.partition("?")
    for name, value in re.findall(r"(?:^|&)([^=&]*)=([^&]*)", query):
        if unquote(name).lower() in _SECRET_PARAMETERS:
            found += [value, unquote(value)]
    return found


def _keyword_passwords(text: str) -> list[str]:
    try:
        values = parse_keywords(text)
    except ValueError:  # nothing to tell where a value ends: take the longest that it could be
        return [match.strip(" '\"") for match in re.findall(r"(?i)(?:password|passwd|pwd)\s*=(.*)", text)]
    return [value for name, value in values.items() if name.lower() in _SECRET_PARAMETERS]
