"""What it was measured on, without names."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import psycopg

_LIBRARIES = ("sqlalchemy", "psycopg", "typer", "rich", "pydantic", "alembic")


def describe(url: str) -> list[tuple[str, str]]:
    """Give label and text of each fact, the server's included."""
    with psycopg.connect(url) as connection:
        server = connection.execute("show server_version").fetchone()
        flush = connection.execute("show fsync").fetchone()
        is_local = connection.info.host.startswith("/") or connection.info.host in ("localhost", "127.0.0.1")
    assert server is not None
    assert flush is not None
    place = "on the same machine" if is_local else "on another machine"
    return [
        ("Processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("Memory", f"{_memory_gib():.0f} GiB"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("PostgreSQL", f"{server[0].split()[0]}, {place}, default settings, fsync {flush[0]}"),
        ("Libraries", ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)),
    ]


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
