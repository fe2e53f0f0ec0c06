"""Which addresses may be called: none that only a machine inside of the network can reach.

Whoever may choose a webhook's URL could otherwise let the worker call what is reachable from it alone: databases,
cloud metadata, its own ports. What counts is the address that a connection is made to, not the name: a name is
resolved once, all answers are looked at, and the connection goes to one of those very answers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from upgrader.errors import UpgraderError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Iterable[str]]
"""Gives the addresses of a host as text."""

# What stands for an IPv4 address within an IPv6 one, beside what Python finds by itself (mapped, 6to4, Teredo).
_WELL_KNOWN_TRANSLATION = ipaddress.IPv6Network("64:ff9b::/96")
_TRANSLATED = (_WELL_KNOWN_TRANSLATION, ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TUNNELLED = (0x0000_5EFE, 0x0200_5EFE)  # of ISATAP, before the address: a tunnel within a company's network
_MORE_RESERVED: tuple[Network, ...] = (
    ipaddress.IPv4Network("100.64.0.0/10"),  # shared by carriers
    ipaddress.IPv4Network("192.0.0.0/24"),  # for protocols; Python's list before 3.11.10 has parts of it only
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays
    ipaddress.IPv6Network("fec0::/10"),  # site-local
    ipaddress.IPv6Network("3fff::/20"),  # documentation
)


class ForbiddenAddressError(UpgraderError):
    """A webhook may not be sent to this address."""


class UnresolvableHostError(UpgraderError):
    """A webhook's host has no address."""


def resolve(host: str, port: int) -> Iterable[str]:
    """Give the addresses of a host as the system resolves it.

    Raises:
        OSError: there is none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return dict.fromkeys(str(address[0]) for *_, address in found)


def checked_addresses(
    host: str, port: int, *, allowed: Iterable[Network] = (), resolver: Resolver = resolve
) -> tuple[str, ...]:
    """Give the addresses of a host, all of which may be called.

    Args:
        allowed: networks that may be called although they are not public.

    Raises:
        ForbiddenAddressError: one of them may not be; a name that has such an answer among others is refused, too.
        UnresolvableHostError: there is none.
    """
    try:
        found = tuple(resolver(host, port))
    except (OSError, UnicodeError) as error:
        raise UnresolvableHostError(f"the host {host} has no address: {error}") from error
    if not found:
        raise UnresolvableHostError(f"the host {host} has no address")
    networks = tuple(allowed)
    for text in found:
        if not is_allowed(text, networks):
            raise ForbiddenAddressError(
                f"the address {text} of {host} is not public, and webhooks are not sent there",
                hint="if it is meant, allow its network: WebhookEndpoint(…, allowed_networks=("
                f'"{_network_of(text)}",))',
            )
    return found


def is_allowed(text: str, allowed: tuple[Network, ...] = ()) -> bool:
    """Tell whether an address may be called: it is public, or in one of these networks."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    meant = _meant(address)
    if any(
        one in network for network in allowed for one in (address, meant) if one.version == network.version
    ):
        return True
    # What a network without IPv4 makes of a public address is as public as that.
    return is_public(meant) and (is_public(address) or address in _WELL_KNOWN_TRANSLATION)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public network: not private, loopback, link-local, reserved, multicast."""
    if (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_reserved
        or address.is_multicast
        or address.is_unspecified
    ):
        return False
    return not any(address in network for network in _MORE_RESERVED if network.version == address.version)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks: `10.0.0.0/8`, or a single address.

    Raises:
        ValueError: one is none.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def _meant(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    for found in (address.ipv4_mapped, address.sixtofour, address.teredo and address.teredo[1]):
        if found:
            return found
    is_within = any(address in network for network in _TRANSLATED) or (
        address in _COMPATIBLE and int(address) > 1
    )
    if is_within or int(address) >> 32 & 0xFFFFFFFF in _TUNNELLED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _network_of(text: str) -> str:
    plain = text.partition("%")[0]
    return f"{plain}/{128 if ':' in plain else 32}"
