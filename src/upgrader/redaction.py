"""Secrets out of any text.

Two things are taken out: values that are known to be secret, and whatever looks like a secret. All of them
are looked for in the text as it came, and what overlaps is taken out as one: no find can hide another.

Every pattern here is linear: repeats are possessive, and what one try has walked over, the next does not
walk over again (a run ends where the next could begin). Keep it so; a 10 MB text may come from anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST_SECRET = 3
LONGEST_ERROR_BYTES = 8192

Span = tuple[int, int]

# scheme://user:VALUE@ - up to the last @ before the path; a bare / or # in VALUE is taken too, since a URL
# that is wrong in this way is just what error messages show. `host:5432/` is a port and no password.
_URL = re.compile(
    r"""
    :// [^\s@:/?\#\[]*+
    (?: @ [^\s@:/?\#]*+ : (?!\d{1,5}[/?\#,])
      | :                 (?!\d{1,5}[/?\#]) )
    (?P<value> [^\s@:]*+ (?: : (?!//) [^\s@:]*+ )*+ (?: @ [^\s@/]*+ (?=@) )*+ )
    @
    """,
    re.VERBOSE,
)

# Begins with a plain set and ignores case only after it: so `re` skips to candidates, several times as fast.
_NAME = r"""
    [PpSsTtAa]
    (?i: (?<=p) (?: ass(?:word|wd|phrase) | wd | rivate[_\ -]?key )
       | (?<=s) ecret
       | (?<=t) oken
       | (?<=a) (?: pi | ccess ) [_\ -]?key )
    (?i: [_-]? (?: access[_-]?key | key | hash | value | \d{1,3} ) )?
    [\\"'`\])]{0,4}
"""
# In '…' two quotes are one; what is not closed goes on to the end of the line. A backslash escapes.
_ESCAPED = r"""
    (?: \\+ " [^"]*+ "?
      | \\+ ' [^']*+ '?
      | \"{3} .*? \"{3} | '{3} .*? '{3}
      | (?=") (?: " [^"\\]*+ (?: \\. [^"\\]*+ )*+ " )*+ (?: " [^\n]*+ )?
      | (?=') (?: ' [^'\\]*+ (?: \\. [^'\\]*+ )*+ ' )*+ (?: ' [^\n]*+ )? )
"""
# The same in standard SQL, where a backslash is a character like any other.
_PLAIN = r"""
    (?: (?=") (?: " [^"]*+ " )*+ (?: " [^\n]*+ )?
      | (?=') (?: ' [^']*+ ' )*+ (?: ' [^\n]*+ )?
      | (?:\\+ ' [^']*+ '? | \\+ " [^"]*+ "?)
      | \$ (?P<tag> \w{0,63} ) \$ (?: .{0,128}? \$ (?P=tag) \$ | [^\n]*+ ) )
"""
# Up to a space, or to where the next key begins: `&sslmode=`, `,"user":`.
_BARE = r"""
    (?: \( [^()\n]*+ \)
      | [^\s\\,;&]*+
        (?: [\\,;&] (?! ["']? [\w.-]++ (?: ["'] \s*+ : | \s*+ = ) ) (?: (?<=\\)\  )?+ [^\s\\,;&]*+ )*+ )
"""
_SQL_LITERAL = rf"(?: [eE] (?P<escaped> {_ESCAPED} ) | (?: [nN] | [uU]& )?+ (?P<plain> {_PLAIN} ) )"
_NAMED = re.compile(
    rf"""
    {_NAME}
    (?: \s*+ (?: => | := | ==? | :(?!:) )
        (?: \s*+ [bBrRuUeEnN]?+ (?P<quoted> {_ESCAPED} ) | [ \t]*+ (?P<bare> {_BARE} ) )
      | \s++ {_SQL_LITERAL} )
    """,
    re.VERBOSE | re.DOTALL,
)
_IDENTIFIED = re.compile(
    rf"[Ii] (?i:dentified) \b [^'\"$\\\n]{{0,64}}+ {_SQL_LITERAL}", re.VERBOSE | re.DOTALL
)


# Without one of these nothing below can be found, and most texts have none: they are names and numbers.
_SUSPECT = re.compile("[:='\"$]")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of texts: the values that it knows, and what looks like one. Immutable."""

    _known: tuple[str, ...] = field(default=(), repr=False)

    def with_secrets(self, *values: str) -> Self:
        """Give a redactor that knows of `values` too, also as they stand in a URL, in JSON and in SQL.

        A value shorter than three characters is not looked for: it would be found everywhere.
        """
        written = {form for value in values for form in _written_forms(value)}
        known = {form for form in written if len(form.strip()) >= SHORTEST_SECRET} | set(self._known)
        return type(self)(tuple(sorted(known)))

    def redact(self, text: str) -> str:
        """Give `text` with `***` for every secret. Linear in the length of `text`; never raises."""
        return _masked(text, self.spans(text))

    def spans(self, text: str) -> list[Span]:
        """Give where the secrets are in `text`, in no order; they may overlap."""
        found = [match.span() for value in self._known for match in re.finditer(re.escape(value), text)]
        if _SUSPECT.search(text) is None:
            return found
        if "://" in text:
            found += (match.span("value") for match in _URL.finditer(text))
        for pattern in (_NAMED, _IDENTIFIED):
            found += (
                _inside_quotes(text, *match.span(match.lastindex or 0)) for match in pattern.finditer(text)
            )
        return found

    @property
    def longest_secret(self) -> int:
        """The length of the longest known value; 0 if none is known."""
        return max(map(len, self._known), default=0)


def without_named_secrets(value: Any, *, is_secret: bool = False) -> Any:
    """Give what JSON holds with `***` for each text and number that stands under a secret's name, at any depth.

    Where a value is written by itself, without its name beside it, no pattern of a text finds it.

    Args:
        is_secret: whether the name above it is a secret's.
    """
    if isinstance(value, dict):
        return {
            name: without_named_secrets(one, is_secret=is_secret or _NAMED.search(f"{name}=x") is not None)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [without_named_secrets(one, is_secret=is_secret) for one in value]
    return MASK if is_secret and value is not None and not isinstance(value, bool) else value


def clean_error_text(text: str, *, redactor: Redactor, limit_bytes: int = LONGEST_ERROR_BYTES) -> str:
    """Give `text` as it may be stored: without secrets, NUL and lone surrogates, and no longer than allowed.

    Secrets go before anything is cut, so that no half of one is left. Of a huge text only the beginning
    is looked at.

    Args:
        text: anything.
        redactor: knows the secrets of this run.
        limit_bytes: the longest result in UTF-8, at least 64; a longer text ends in `… (N bytes cut)`.
    """
    window = max(8 * limit_bytes, 65_536)
    shown = _redacted_start(text, redactor, window)
    whole = _encodable(shown)
    if len(text) <= window and len(whole) <= limit_bytes:
        return whole.decode()
    total = len(whole) + len(_encodable(text[window:]))
    room = limit_bytes - len(_note(total))
    kept = whole[: max(room, 0)].decode(errors="ignore")
    return kept + _note(total - len(kept.encode())).decode()


def _redacted_start(text: str, redactor: Redactor, window: int) -> str:
    """Redact the first `window` characters; a secret that lies across the end goes as a whole."""
    seen = text[: window + redactor.longest_secret]
    within = [(start, min(stop, window)) for start, stop in redactor.spans(seen) if start < window]
    return _masked(text[:window], within)


def _masked(text: str, spans: Iterable[Span]) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop in _merged(spans):
        pieces += (text[end:start], MASK)
        end = stop
    return "".join((*pieces, text[end:]))


def _encodable(text: str) -> bytes:
    return text.replace("\x00", "\\0").encode(errors="backslashreplace")


def _note(count: int) -> bytes:
    return f"… ({count} bytes cut)".encode()


def _inside_quotes(text: str, start: int, stop: int) -> Span:
    if stop - start >= 2 and text[start] in "\"'":
        closed = text[stop - 1] == text[start]
        return (start + 1, stop - 1 if closed else stop)
    return (start, stop)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Give the spans in order, overlapping ones as one, empty ones not at all."""
    begun: Span | None = None
    for start, stop in sorted(spans):
        if start == stop:
            continue
        if begun is not None and start < begun[1]:
            begun = (begun[0], max(begun[1], stop))
            continue
        if begun is not None:
            yield begun
        begun = (start, stop)
    if begun is not None:
        yield begun


def _written_forms(value: str) -> Iterator[str]:
    yield value
    yield value.strip()
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield value.replace("'", "''")
    yield value.replace("\\", "\\\\").replace("'", "\\'")
    raw = value.encode(errors="surrogatepass")
    yield quote(raw, safe="")
    yield quote_plus(raw)
