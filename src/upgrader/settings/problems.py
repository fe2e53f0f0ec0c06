"""What is wrong with the values, in sentences for the person who gave them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from upgrader.settings.keys import Given, known_keys

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from upgrader.redaction import Redactor

_LONGEST_SHOWN = 80
_UNSHOWN = ("database_url", "worker.queue_database_url", "worker.queue_password")
_EXPECTED: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    "string_type": lambda _: "a text in quotes",
    "path_type": lambda _: "a text in quotes",
    "int_type": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "int_parsing_size": lambda _: "a smaller number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "float_parsing": lambda _: "a number",
    "number_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "tuple_type": lambda _: 'a list: ["…", "…"]',
    "dict_type": lambda _: 'a table: {"name" = "…"}, in the environment a JSON object',
    "too_short": lambda _: "a list with at least one entry",
    "enum": lambda context: str(context["expected"]),
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
}


def describe(error: ValidationError, given: Mapping[str, Given], redactor: Redactor) -> Iterator[str]:
    """Give one sentence for each key that has something wrong, in the order of the model."""
    told: set[str] = set()
    for details in error.errors(include_url=False):
        keys = _keys(details)
        if keys[0] in told:
            continue  # a union reports each of its members
        told.add(keys[0])
        subject = " and ".join(f"`{key}`{_origin(key, given)}" for key in keys)
        yield redactor.redact(f"{subject}{_complaint(keys[0], details)}")


def _origin(key: str, given: Mapping[str, Given]) -> str:
    return f" {given[key].origin}" if key in given else ""


def _keys(details: ErrorDetails) -> tuple[str, ...]:
    """Give the keys that an error is about: several for a conflict, else the one in which it lies."""
    conflict = details.get("ctx", {}).get("keys")
    if conflict:
        return tuple(conflict)
    names = known_keys()
    path = [str(part) for part in details["loc"]]
    for length in range(len(path), 0, -1):
        name = ".".join(path[:length])
        if name in names:
            return (name,)
    return (".".join(path),)


def _complaint(key: str, details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return f": {context['error']}"
    if details["type"] == "conflict":
        return f": {details['msg']}"
    wording = _EXPECTED.get(details["type"])
    expected = wording(context) if wording else details["msg"]
    if key in _UNSHOWN:
        return f": expected {expected}"
    shown = repr(details["input"])
    if len(shown) > _LONGEST_SHOWN:
        shown = shown[:_LONGEST_SHOWN] + "…"
    return f" is {shown}, expected {expected}"
