"""Machines on one network: Linux network namespaces, each with a cable to a bridge on which the server listens."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Machine:
    """A network namespace.

    Attributes:
        name: of the namespace.
        cable: the end of its cable that is plugged into the bridge.
    """

    name: str
    cable: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command is put behind to run there; it becomes that very process."""
        return ("ip", "netns", "exec", self.name)

    def cut_off(self) -> None:
        """Pull the cable: packets are lost, nobody is told."""
        _ip("link", "set", self.cable, "down")

    def plug_in(self) -> None:
        """Put it back."""
        _ip("link", "set", self.cable, "up")


@dataclass(frozen=True)
class Network:
    """A bridge, and the machines on it.

    Attributes:
        address: of the bridge: what listens there is reached by all of them.
        subnet: as pg_hba.conf writes it.
    """

    address: str
    subnet: str
    machines: tuple[Machine, ...]


@contextmanager
def network(count: int) -> Iterator[Network]:
    """Make so many machines; a test is skipped where this process may not."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces are root's to make, with the program ip of iproute2")
    with ExitStack() as stack:
        mark, third = secrets.token_hex(3), secrets.randbelow(250) + 1
        bridge, base = f"upb{mark}", f"10.213.{third}"
        try:
            _ip("link", "add", bridge, "type", "bridge")
            stack.callback(_ip, "link", "del", bridge, check=False)
            _ip("addr", "add", f"{base}.1/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
            machines = tuple(_machine(stack, mark, number, bridge, base) for number in range(count))
        except subprocess.CalledProcessError as error:  # a container without the right to
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
        yield Network(f"{base}.1", f"{base}.0/24", machines)


def _machine(stack: ExitStack, mark: str, number: int, bridge: str, base: str) -> Machine:
    machine = Machine(f"upn{mark}{number}", f"upv{mark}{number}")
    _ip("netns", "add", machine.name)
    stack.callback(_ip, "netns", "del", machine.name, check=False)
    _ip("link", "add", machine.cable, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
    stack.callback(_ip, "link", "del", machine.cable, check=False)
    _ip("link", "set", machine.cable, "master", bridge, "up")
    for arguments in (
        ("addr", "add", f"{base}.{number + 2}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "lo", "up"),
    ):
        _ip("-n", machine.name, *arguments)
    return machine


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
