"""Secrets out of any text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.redaction import Redactor, clean_error_text

PLAIN = Redactor()
SECRET = "hunter2"
TEN_MEGABYTES = 10_000_000
TWO_MEGABYTES = 2_000_000

# A mask in the secret or beside it could make the secret up again; surrogates are a test of their own.
TEXT = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]))
SECRETS = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=3).filter(
    lambda value: len(value.strip()) >= 3
)


@given(before=TEXT, secret=SECRETS, after=TEXT)
def test_a_given_secret_never_survives(before: str, secret: str, after: str) -> None:
    """Wherever a given value stands, it is gone."""
    assert secret not in Redactor().with_secrets(secret).redact(before + secret + after)


@given(
    before=TEXT,
    secrets=st.lists(SECRETS, min_size=1, max_size=3),
    pattern=st.sampled_from(
        ["password={}", "postgresql://u:{}@h/d", "PASSWORD '{}'", '"token": "{}"', "{}=x", "{}{}"]
    ),
)
def test_a_pattern_does_not_hide_a_given_secret(before: str, secrets: list[str], pattern: str) -> None:
    """A value that a pattern covers in part is taken out in whole, whatever else is secret."""
    text = before + "".join(pattern.replace("{}", secret) for secret in secrets)
    redacted = Redactor().with_secrets(*secrets).redact(text)
    assert not [secret for secret in secrets if secret in redacted]


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    """Nothing raises, with or without secrets."""
    Redactor().with_secrets(text, "\ud800abc").redact(text)
    clean_error_text(text, redactor=PLAIN).encode()


@given(TEXT)
def test_a_second_pass_changes_nothing(text: str) -> None:
    """What was redacted is left as it is."""
    once = PLAIN.redact(text + " password='abc' token=x postgresql://u:p@h")
    assert PLAIN.redact(once) == once


def test_a_short_value_is_not_looked_for() -> None:
    """A secret of two characters would be found in every text."""
    assert Redactor().with_secrets("ab", "  ", "").redact("cab ride") == "cab ride"


def test_a_redactor_is_not_changed_by_adding() -> None:
    """Adding gives a new redactor, which knows both; neither shows what it knows."""
    first = Redactor().with_secrets("first-secret")
    second = first.with_secrets("second-secret")
    assert first.redact("first-secret second-secret") == "*** second-secret"
    assert second.redact("first-secret second-secret") == "*** ***"
    assert "secret" not in repr(second)


@pytest.mark.parametrize(
    "text", ["p%40ss%2Fword", "p@ss/word", "p%40ss/word p@ss/word"], ids=["encoded", "decoded", "half"]
)
def test_a_secret_is_found_in_each_of_its_forms(text: str) -> None:
    """A password is found percent-encoded and decoded, if both were given."""
    assert "word" not in Redactor().with_secrets("p%40ss/word", "p@ss/word").redact(text)


@pytest.mark.parametrize("text", [r"it\'s me", "it''s me", "it%27s%20me", "it%27s+me", "it's me"])
def test_a_secret_is_found_escaped(text: str) -> None:
    """A secret is found as SQL, JSON, Python and URLs write it."""
    assert Redactor().with_secrets("it's me").redact(f"<{text}>") == "<***>"


def test_overlapping_secrets_go_together() -> None:
    """Two secrets that share characters leave nothing of either."""
    assert Redactor().with_secrets("abcdef", "defghi").redact("-abcdefghi-") == "-***-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:hunter2@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun@ter2@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:hun/ter2@h/db", "postgresql://u:***@h/db"),
        ("postgresql://user@domain:hunter2@h/db", "postgresql://user@domain:***@h/db"),
        ("postgresql+psycopg://u:hunter2@[::1]:5432/db", "postgresql+psycopg://u:***@[::1]:5432/db"),
        ("a://u:hunter2@h b://u:hunter2@h", "a://u:***@h b://u:***@h"),
        (
            "postgres://h/db?password=hunter2&sslmode=require&sslpassword=hunter2",
            "postgres://h/db?password=***&sslmode=require&sslpassword=***",
        ),
        ("ALTER ROLE x PASSWORD 'hunter2' LOGIN", "ALTER ROLE x PASSWORD '***' LOGIN"),
        ("alter role x encrypted password 'hun''ter2'", "alter role x encrypted password '***'"),
        (r"PASSWORD 'hunter2\'; PASSWORD 'hunter2'; 'x'", "PASSWORD '***'; PASSWORD '***'; 'x'"),
        (r"PASSWORD E'hun\'ter2' LOGIN", "PASSWORD E'***' LOGIN"),
        (r"'ALTER ROLE x PASSWORD \'hunter2\''", "'ALTER ROLE x PASSWORD ***'"),
        ("PASSWORD $$hunter2$$; PASSWORD $q$hun$ter2$q$ LOGIN", "PASSWORD ***; PASSWORD *** LOGIN"),
        ("CREATE USER u IDENTIFIED BY 'hunter2' x", "CREATE USER u IDENTIFIED BY '***' x"),
        ("host=x password=hunter2 port=1", "host=x password=*** port=1"),
        (r"password='hun\'t er2' port=1", "password='***' port=1"),
        ("PGPASSWORD=hunter2", "PGPASSWORD=***"),
        ("pwd=hunter2;user=u", "pwd=***;user=u"),
        ("passwd: hunter2\nnext", "passwd: ***\nnext"),
        ('{"password": "hun\\"ter2", "user": "u"}', '{"password": "***", "user": "u"}'),
        ('{"token":123,"user":"u"}', '{"token":***,"user":"u"}'),
        ("{'secret': 'hunter2', 'passwd': b'hunter2'}", "{'secret': '***', 'passwd': b'***'}"),
        ('client_secret = """hun"ter2"""', 'client_secret = "***"'),
        ("AWS_SECRET_ACCESS_KEY=hunter2 X-Api-Key: hunter2", "AWS_SECRET_ACCESS_KEY=*** X-Api-Key: ***"),
        ("Key (api_token)=(hunter2 hunter2) exists", "Key (api_token)=*** exists"),
        ('password="hunter2 and no end\nnext', 'password="***\nnext'),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, expected: str) -> None:
    """URLs, SQL, key=value, JSON, TOML and Python: the secret goes and the rest stays."""
    assert PLAIN.redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app@db/app",
        "postgresql://app@h1:5432,h2:5433/db",
        "http://localhost:8080/@scope/x a@b.c",
        'password authentication failed for user "app"',
        'column "password" of relation "user" does not exist',
        "select password::text, token from x",
        "fe_sendauth: no password supplied",
        "max_tokens: 100",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Names of columns, ports and ordinary sentences are left alone."""
    assert PLAIN.redact(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a://",
        "://a:",
        " ://",
        "a://b:c@ ",
        "@",
        "password",
        "password ",
        "password=",
        "password='",
        'password="\\"',
        "password='password=\"",
        "password $a$ ",
        "password=&a=",
        "password=,a",
        "identified ",
        "api_key_",
        "password='''a",
        "\\",
        "'",
        "\x00\ud800",
    ],
)
def test_what_is_made_to_be_slow_takes_linear_time(piece: str) -> None:
    """Two megabytes of what no pattern can match to its end take no more than their length."""
    assert (
        seconds_for(piece * (TWO_MEGABYTES // len(piece))) < 8
    )  # a few tenths; what is quadratic takes hours


def test_ten_megabytes_of_an_ordinary_text_are_no_trouble() -> None:
    """A huge error message is walked through once."""
    assert seconds_for("the quick brown fox, SELECT 1 AS token;\n" * (TEN_MEGABYTES // 40)) < 8


def seconds_for(text: str) -> float:
    """Redact and clean `text` and give the time that it took."""
    redactor = Redactor().with_secrets("abcdef")
    begun = time.perf_counter()
    redactor.redact(text)
    clean_error_text(text, redactor=redactor)
    return time.perf_counter() - begun


def test_a_clean_text_is_kept() -> None:
    """A short text without anything special comes back as it is."""
    assert clean_error_text("column ü does not exist", redactor=PLAIN) == "column ü does not exist"


def test_nul_and_lone_surrogates_become_visible() -> None:
    """What PostgreSQL or UTF-8 cannot hold is written out."""
    assert clean_error_text("a\x00b\udc80c", redactor=PLAIN) == "a\\0b\\udc80c"


@pytest.mark.parametrize(
    "text", ["x" * 9000, "é" * 5000, "\x00" * 9000, "\ud800" * TEN_MEGABYTES, "😀" * 100_000]
)
def test_a_long_text_is_cut_at_a_character(text: str) -> None:
    """At most 8 kB of UTF-8, with a note at the end."""
    cleaned = clean_error_text(text, redactor=PLAIN)
    assert 8180 <= len(cleaned.encode()) <= 8192
    assert cleaned.endswith(" bytes cut)")


def test_the_note_counts_what_is_missing() -> None:
    """What is kept and what is cut are the whole."""
    cleaned = clean_error_text("x" * 200_000, redactor=PLAIN)
    kept, _, note = cleaned.partition("…")
    assert note == f" ({200_000 - len(kept)} bytes cut)"


@pytest.mark.parametrize("offset", range(-30, 30))
@pytest.mark.parametrize("border", [8192, 65_536])
def test_a_cut_leaves_no_half_of_a_secret(border: int, offset: int) -> None:
    """A secret across the limit, or across the end of what is looked at, goes before the cut."""
    secret = "0123456789abcdefghij"
    redactor = Redactor().with_secrets(secret)
    filler = "password='" + "x" * (border - 200) + "' " + "y" * (188 + offset)
    for text in ("x" * (border + offset) + secret + "z" * 90_000, filler + secret + "z" * 90_000):
        assert "0123" not in clean_error_text(text, redactor=redactor)
