"""Where a finding stands: from `file:line`, as people read it, to a file and a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PLACE = re.compile(r"(?P<file>.+?)(?::(?P<line>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class Place:
    """A file, absolute, and a line in it. Both None where there is no such file: a package, a folder."""

    file: Path | None = None
    line: int | None = None


def parse_place(text: str) -> Place:
    """Read what `place_of` wrote, relative to the working directory."""
    match = _PLACE.fullmatch(text)
    if match is None:
        return Place()
    path = Path.cwd() / match["file"]
    if not path.is_file():
        return Place()
    return Place(path, int(match["line"]) if match["line"] else None)
