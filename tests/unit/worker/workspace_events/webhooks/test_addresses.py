"""Which addresses webhooks may be sent to."""

from __future__ import annotations

import pytest

from upgrader.worker.workspace_events.webhooks.addresses import (
    ForbiddenAddressError,
    UnresolvableHostError,
    checked_addresses,
    is_allowed,
    parse_networks,
    resolve,
)

_FORBIDDEN = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.0.200",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:7f00:1::",
    "3fff::1",
    "2a00:1450::5efe:10.0.0.1",
    "2a00:1450::200:5efe:127.0.0.1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", _FORBIDDEN)
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, loopback, link-local, shared, reserved, documentation, multicast; and what stands for one of them."""
    assert not is_allowed(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::8.8.8.8"],
)
def test_public_addresses(address: str) -> None:
    """All others may be called."""
    assert is_allowed(address)


def test_networks_that_are_allowed() -> None:
    """A network that was named may be called, in whatever form its addresses come; its neighbours may not."""
    allowed = parse_networks(["10.1.0.0/16", "::1"])
    assert is_allowed("10.1.2.3", allowed)
    assert is_allowed("::ffff:10.1.2.3", allowed)
    assert is_allowed("::1", allowed)
    assert not is_allowed("10.2.0.1", allowed)
    assert not is_allowed("127.0.0.1", allowed)


def test_one_private_answer_among_others_refuses_the_name() -> None:
    """A name that has both is no honest one; the error says which address, and how to allow it."""
    with pytest.raises(ForbiddenAddressError, match=r"10\.0\.0\.5 of example\.org is not public") as caught:
        checked_addresses("example.org", 443, resolver=lambda *_: ["1.1.1.1", "10.0.0.5"])
    assert '"10.0.0.5/32"' in str(caught.value.hint)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
def test_other_ways_to_write_loopback(host: str) -> None:
    """What counts is what the system makes of it."""
    with pytest.raises((ForbiddenAddressError, UnresolvableHostError)):
        checked_addresses(host, 80, resolver=resolve)


def test_a_name_without_addresses() -> None:
    """It is told as such, whatever the resolver says."""

    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(UnresolvableHostError, match=r"example\.invalid has no address: Name or service"):
        checked_addresses("example.invalid", 443, resolver=nowhere)
    with pytest.raises(UnresolvableHostError):
        checked_addresses("example.invalid", 443, resolver=lambda *_: [])
