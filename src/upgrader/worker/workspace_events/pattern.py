"""Names of events, and the patterns that handlers subscribe with."""

from __future__ import annotations

from functools import lru_cache

SEPARATOR = "."
ONE = "*"
ANY = "**"


def is_name(text: str) -> bool:
    """Tell whether this may be the name of an event: parts between dots, none of them empty or a wildcard."""
    return is_pattern(text) and ONE not in text


def is_pattern(text: str) -> bool:
    """Tell whether this may be a pattern: parts between dots; a part may be `*`, one part, or `**`, any number."""
    parts = text.split(SEPARATOR)
    return all(part in (ONE, ANY) or (part.isprintable() and _is_plain(part)) for part in parts)


@lru_cache(maxsize=4096)
def matches(pattern: str, name: str) -> bool:
    """Tell whether an event of this name is one of those that the pattern asks for."""
    return _match(tuple(pattern.split(SEPARATOR)), tuple(name.split(SEPARATOR)))


def _is_plain(part: str) -> bool:
    return bool(part) and ONE not in part and not any(character.isspace() for character in part)


def _match(pattern: tuple[str, ...], name: tuple[str, ...]) -> bool:
    if not pattern:
        return not name
    first, rest = pattern[0], pattern[1:]
    if first == ANY:
        return any(_match(rest, name[taken:]) for taken in range(len(name) + 1))
    return bool(name) and first in (ONE, name[0]) and _match(rest, name[1:])
