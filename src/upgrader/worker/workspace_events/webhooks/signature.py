"""How a webhook is signed, and how whoever receives it checks that.

The header is `Upgrader-Signature: t=<seconds since 1970>,v1=<hex>`, where the latter is HMAC-SHA256 with the
endpoint's secret over `<t>.<body>`: the scheme of Stripe's webhooks. The time is signed, so that a request that
somebody has overheard is worth nothing later.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

SIGNATURE_HEADER = "Upgrader-Signature"
TOLERANCE_SECONDS = 300.0


def sign(secret: str, body: bytes, *, timestamp: int) -> str:
    """Give the header's value."""
    return f"t={timestamp},v1={_digest(secret, body, timestamp)}"


def is_signed(
    secret: str,
    body: bytes,
    header: str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: Callable[[], float] = time.time,
) -> bool:
    """Tell whether a request was signed with this secret, and lately. For those who receive webhooks.

    Args:
        body: the bytes as they came, before anything has parsed them.
        header: the value of `Upgrader-Signature`.
    """
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for key, _, value in parts if key.strip() == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 20:
        return False
    timestamp = int(times[0])
    if abs(now() - timestamp) > tolerance_seconds:
        return False
    expected = _digest(secret, body, timestamp).encode()
    given = [value.strip().encode(errors="replace") for key, _, value in parts if key.strip() == "v1"]
    # There may be several: two secrets are in use while one takes the other's place.
    return any(hmac.compare_digest(expected, one) for one in given)


def _digest(secret: str, body: bytes, timestamp: int) -> str:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
