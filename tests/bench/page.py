"""docs/BENCHMARKS.md, written from what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.findings import Section


def page(sections: Sequence[Section], machine: Sequence[tuple[str, str]]) -> str:
    """Write the page."""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `scripts/bench`; do not edit. What is compared ran in turns, in one run of that script,"
            " so that a noisy machine is as noisy for all; only the ratios mean anything elsewhere.",
            "",
            "| what | bar | measured | met |",
            "|---|---|---|---|",
            *(row.text for section in sections for row in section.rows),
            "",
            *(line for section in sections for note in section.notes for line in (note, "")),
            "## Machine",
            "",
            "| | |",
            "|---|---|",
            *(f"| {label} | {told} |" for label, told in machine),
            "",
        ]
    )
