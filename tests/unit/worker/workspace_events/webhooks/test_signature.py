"""How webhooks are signed, and how that is checked."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from upgrader.worker.workspace_events.webhooks.signature import is_signed, sign

SECRET = "0123456789abcdef"
BODY = '{"name":"größe.created"}'.encode()
NOW = 1_700_000_000


def _is_signed(header: str, *, secret: str = SECRET, body: bytes = BODY, now: float = NOW) -> bool:
    return is_signed(secret, body, header, now=lambda: now)


def test_the_signature_is_hmac_sha256_over_time_and_body() -> None:
    """As anybody can compute it."""
    digest = hmac.new(SECRET.encode(), b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, BODY, timestamp=NOW) == f"t=1700000000,v1={digest}"


def test_a_request_that_is_signed() -> None:
    """It is, for five minutes, by clocks that are apart by as much."""
    header = sign(SECRET, BODY, timestamp=NOW)
    assert _is_signed(header)
    assert _is_signed(header, now=NOW + 299)
    assert _is_signed(header, now=NOW - 299)


def test_two_secrets_in_use() -> None:
    """One of several signatures is enough while secrets are exchanged."""
    other = sign("another secret 123", BODY, timestamp=NOW)
    assert _is_signed(f"{other},{sign(SECRET, BODY, timestamp=NOW).partition(',')[2]}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        "v1=00",
        f"t={NOW}",
        f"t={NOW},v1=00",
        f"t={NOW},v0={sign(SECRET, BODY, timestamp=NOW).rpartition('=')[2]}",
        f"t={NOW - 1},v1={sign(SECRET, BODY, timestamp=NOW).rpartition('=')[2]}",
        f"t=-{NOW},v1=00",
        f"t={'9' * 5000},v1=00",
        f"t=\u0661,v1={'é' * 64}",
        sign("another secret 123", BODY, timestamp=NOW),
        sign(SECRET, BODY + b" ", timestamp=NOW),
        f"t={NOW},{sign(SECRET, BODY, timestamp=NOW)}",
    ],
)
def test_requests_that_are_not_signed(header: str) -> None:
    """Another secret, body or time, and whatever is no signature."""
    assert not _is_signed(header)


def test_an_old_request() -> None:
    """A request that somebody has overheard is worth nothing later."""
    assert not _is_signed(sign(SECRET, BODY, timestamp=NOW), now=NOW + 301)
    assert not _is_signed(sign(SECRET, BODY, timestamp=NOW), now=NOW - 301)
