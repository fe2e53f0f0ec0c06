"""Very many rows, read through a server-side cursor: a batch at a time, so that memory stays flat."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

BATCH_ROWS = 2_000


def rows_of(cursor: psycopg.ServerCursor[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a cursor that has executed its query (to iterate over it takes twice as long)."""
    while batch := cursor.fetchmany(BATCH_ROWS):
        yield from batch


@contextmanager
def without_collection() -> Iterator[None]:
    """Let no garbage be looked for in the block, which makes very many objects that all stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
