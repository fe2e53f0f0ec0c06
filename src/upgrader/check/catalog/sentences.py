"""A difference as people read it."""

from __future__ import annotations

from upgrader.check.catalog.compare import DEFINITION, Difference
from upgrader.check.catalog.objects import CatalogObject, ObjectKind

_LONGEST_VALUE = 160
_SHOWN_BEFORE = 40
# What a value of these is needs no word in front of it.
_PLAIN_FACETS = frozenset({"type", "nullability", "persistence", "state", "cycle", DEFINITION})


def name_object(found: CatalogObject) -> str:
    """Name an object with its kind: `index core.invoice.ix_invoice_number`."""
    if found.kind is ObjectKind.COLUMN_SEQUENCE:
        return f"sequence of the column {found.path}"
    return f"{found.kind} {found.path}"


def tell_change(difference: Difference, *, expected: str, actual: str) -> str:
    """Tell one changed facet: `core.invoice.total: numeric(12,2) in the models, numeric(10,2) after …`.

    Args:
        expected: the words for the one side, to follow a value: `in the models`.
        actual: those for the other side.
    """
    found = difference.found
    name = found.path if found.kind is ObjectKind.COLUMN else name_object(found)
    label = "" if difference.facet in _PLAIN_FACETS else f"{difference.facet} "
    wanted, there = _shown(difference.expected, difference.actual)
    return f"{name}: {label}{wanted} {expected}, {there} {actual}"


def _shown(one: str | None, other: str | None) -> tuple[str, str]:
    """Give both values on one line each, long ones from just before where they part."""
    first, second = _line(one), _line(other)
    if max(len(first), len(second)) <= _LONGEST_VALUE:
        return first, second
    same = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    begin = max(0, same - _SHOWN_BEFORE)
    return _cut(first, begin), _cut(second, begin)


def _line(value: str | None) -> str:
    return "none" if value is None else " ".join(value.split()) or "''"


def _cut(text: str, begin: int) -> str:
    part = text[begin : begin + _LONGEST_VALUE]
    return ("…" if begin else "") + part + ("…" if len(text) > begin + _LONGEST_VALUE else "")
