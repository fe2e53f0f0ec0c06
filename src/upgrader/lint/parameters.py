"""Parameters as PostgreSQL knows them: `$1`, in place of the driver's and SQLAlchemy's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from upgrader.database.opaque import opaque_parts

# `::` is a cast, `a[1:n]` a slice; SQLAlchemy takes neither for a parameter.
_PARAMETER = re.compile(
    r"%\((?P<driver>[^)]+)\)[sbt] | (?P<next>%[sbt]) | (?P<percent>%%) | (?<![:\w\\]):(?P<name>[A-Za-z_]\w*)",
    re.VERBOSE,
)
_NUMBERED = re.compile(r"\$(\d+)")


def number_parameters(text: str, *, escapes_percent: bool = False) -> str:
    """Give `text` with `$1`, `$2`, … for `%(name)s`, `%s` and `:name`; one name has one number.

    What is quoted or a comment is kept as it is; lines stay lines.

    Args:
        escapes_percent: whether `%%` stands for `%`, in quotes too.
    """
    numbers = _Numbers(text)
    return "".join(_pieces(text, numbers, escapes_percent=escapes_percent))


def _pieces(text: str, numbers: _Numbers, *, escapes_percent: bool) -> Iterator[str]:
    def number(match: re.Match[str]) -> str:
        if match["percent"]:
            return "%" if escapes_percent else "%%"
        return numbers.of(match["driver"] or match["name"])

    position = 0
    for part in opaque_parts(text):
        yield _PARAMETER.sub(number, text[position : part.start])
        hidden = text[part.start : part.stop]
        yield hidden.replace("%%", "%") if escapes_percent else hidden
        position = part.stop
    yield _PARAMETER.sub(number, text[position:])


class _Numbers:
    """Numbers for names, beyond those that the text has already."""

    def __init__(self, text: str) -> None:
        self._last = max((int(digits) for digits in _NUMBERED.findall(text)), default=0)
        self._known: dict[str, str] = {}

    def of(self, name: str | None) -> str:
        if name is not None and name in self._known:
            return self._known[name]
        self._last += 1
        number = f"${self._last}"
        if name is not None:
            self._known[name] = number
        return number
