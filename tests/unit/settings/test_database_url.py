"""What a database URL is, told from its text alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.settings.database_url import (
    DatabaseUrlKind,
    check_database_url,
    database_url_kind,
    parse_keywords,
    passwords_in,
)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("embedded:.upgrader/pgdata", DatabaseUrlKind.EMBEDDED),
        ("postgresql://u@h/d", DatabaseUrlKind.URI),
        ("postgres:///d?host=/run/postgresql", DatabaseUrlKind.URI),
        ("postgresql+psycopg://h1,h2/d", DatabaseUrlKind.URI),
        ("host=/tmp dbname=app", DatabaseUrlKind.KEYWORDS),
        ("dbname = 'my db' user=x", DatabaseUrlKind.KEYWORDS),
    ],
)
def test_the_three_kinds(url: str, kind: DatabaseUrlKind) -> None:
    """Embedded, URI and keywords are told apart."""
    assert database_url_kind(url) is kind


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/d",
        "sqlite:///s3cret.db",
        "jdbc:postgresql://h/d?password=s3cret",
        "postgresql+asyncpg://u:s3cret@h/d",
        "s3cret",
        "host=x s3cret",
        "password='s3cret",
        "embedded:",
        "embedded: ",
        "",
        " ",
        "host=s3cret\x00",
    ],
)
def test_anything_else_is_refused_without_showing_it(url: str) -> None:
    """The message says what is wrong and holds nothing secret."""
    with pytest.raises(ValueError, match=r"it|has") as caught:
        check_database_url(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("host=h port=1", {"host": "h", "port": "1"}),
        ("host = h", {"host": "h"}),
        (r"password='it\'s \\ me'", {"password": r"it's \ me"}),
        (r"password=a\ b", {"password": "a b"}),
        ("password=it's", {"password": "it's"}),
        ("password='' host='a'port='1'", {"password": "", "host": "a", "port": "1"}),
    ],
)
def test_keywords_are_read_as_libpq_does(text: str, values: dict[str, str]) -> None:
    """Quotes, backslashes and spaces follow libpq."""
    assert parse_keywords(text) == values


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.text()))
def test_quoted_values_read_back(values: dict[str, str]) -> None:
    """What is quoted by libpq's rule comes back as it was."""
    escaped = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in values.items()}
    assert parse_keywords(" ".join(f"{name}='{value}'" for name, value in escaped.items())) == values


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql://u@h/d", ()),
        ("postgresql://h:5432/d", ()),
        ("postgresql://u:p%40w@h/d", ("p%40w", "p@w")),
        ("postgresql://u:p@w@h/d", ("p@w",)),
        ("postgresql://u:p/w@h/d", ("p/w",)),
        ("postgresql://h/d?password=abc&sslpassword=d%20f", ("abc", "d%20f", "d f")),
        (r"host=x password='it\'s'", ("it's",)),
        ("host=x password='open", ("open",)),
        ("embedded:pg", ()),
        ("hunter2", ()),
    ],
)
def test_passwords_are_found_as_written_and_decoded(url: str, passwords: tuple[str, ...]) -> None:
    """Every password is found, also in a URL that libpq would refuse."""
    assert passwords_in(url) == passwords


@given(st.text())
def test_looking_for_passwords_never_raises(url: str) -> None:
    """Any text is taken."""
    passwords_in(url)
    passwords_in("postgresql://" + url)
    passwords_in("host=" + url)
