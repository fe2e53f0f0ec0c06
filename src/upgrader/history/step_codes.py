"""Which steps a history knows, and which codes of each: read from the index alone, however long the history is."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier

# From one entry of the index to the next that differs.
_CODES = """
with recursive known (step, code) as (
    (select {digest}(h.name), {digest}(h.checksum) from {history} h order by 1, 2 limit 1)
    union all
    select following.step, following.code from known cross join lateral (
        select {digest}(h.name), {digest}(h.checksum) from {history} h
         where ({digest}(h.name), {digest}(h.checksum)) > (known.step, known.code) order by 1, 2 limit 1
    ) following (step, code)
)
select known.step, known.code, found.name, found.checksum from known cross join lateral (
    select h.name, h.checksum from {history} h
     where {digest}(h.name) = known.step and {digest}(h.checksum) = known.code limit 1
) found
"""


@dataclass(frozen=True, slots=True)
class StepCode:
    """Code that was tried under a step's name.

    Attributes:
        step_digest, code_digest: as the index has them.
    """

    step_digest: int
    code_digest: int
    name: str
    checksum: str


def read_step_codes(driver: psycopg.Connection, schema: str) -> tuple[StepCode, ...]:
    """Give every step that was ever tried, once for each code that it had; marks have an empty checksum."""
    query = _CODES.format(history=identifier(schema, "history"), digest=identifier(schema, "digest"))
    return tuple(StepCode(*row) for row in driver.execute(query.encode()).fetchall())
