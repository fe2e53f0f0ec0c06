"""`upgrader demo`."""

from __future__ import annotations

import typer


def demo(context: typer.Context) -> int:
    """Show the whole thing on real data, on an embedded PostgreSQL."""
    raise NotImplementedError
