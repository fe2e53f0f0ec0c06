"""Compares two catalogs: what is expected, and what is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from upgrader.check.catalog.meaning import same_meaning
from upgrader.check.catalog.names import is_generated_name
from upgrader.check.catalog.objects import Catalog, CatalogObject, ObjectKind

NAME = "name"
DEFINITION = "definition"
_EXPRESSIONS = frozenset({DEFINITION, "default", "generated", "using", "with check", "partition key"})
# Of these a table may have two alike, and their names may be the server's.
_NAMED = frozenset({ObjectKind.CONSTRAINT, ObjectKind.DOMAIN_CONSTRAINT, ObjectKind.INDEX})

Pair = tuple[CatalogObject, CatalogObject]


class DifferenceKind(StrEnum):
    """How two catalogs differ in one thing."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which they differ.

    Attributes:
        found: the object; as expected where it is in both.
        facet: what about it differs; None where all of it is missing or too much.
        expected: the facet's value on either side; None where nothing is said about it there.
    """

    kind: DifferenceKind
    found: CatalogObject
    facet: str | None = None
    expected: str | None = None
    actual: str | None = None

    @property
    def is_unasked(self) -> bool:
        """Whether there is only more than what was asked for."""
        return self.kind is DifferenceKind.EXTRA or (self.facet is not None and self.expected is None)


def compare_catalogs(expected: Catalog, actual: Catalog) -> list[Difference]:
    """Tell in what `actual` differs from what is expected, by schema and table.

    Of a table that is only in one of them, its columns, constraints and indexes are not told again. The order of
    columns and the names that the server makes up are not compared.
    """
    pairs, missing, extra = _paired(expected, actual)
    found = [difference for pair in pairs for difference in _facets(*pair)]
    found += [Difference(DifferenceKind.MISSING, one) for one in _outermost(missing)]
    found += [Difference(DifferenceKind.EXTRA, one) for one in _outermost(extra)]
    return sorted(found, key=_order)


def _order(difference: Difference) -> tuple[str, str, bool, str, str, str]:
    found = difference.found
    is_part = found.owner is not None
    return (found.schema, found.owner or found.name, is_part, found.kind, found.name, difference.facet or "")


def _outermost(found: Sequence[CatalogObject]) -> Iterator[CatalogObject]:
    """Leave out the parts of what is in the list itself."""
    owners = {(one.schema, one.name) for one in found if one.is_owner}
    columns = {(one.schema, one.owner, one.name) for one in found if one.kind is ObjectKind.COLUMN}
    for one in found:
        if one.owner is not None and (one.schema, one.owner) in owners:
            continue
        if one.kind is ObjectKind.COLUMN_SEQUENCE and (one.schema, one.owner, one.name) in columns:
            continue
        yield one


def _paired(
    expected: Catalog, actual: Catalog
) -> tuple[list[Pair], list[CatalogObject], list[CatalogObject]]:
    pairs: list[Pair] = []
    groups: dict[object, tuple[list[CatalogObject], list[CatalogObject]]] = defaultdict(lambda: ([], []))
    for side, catalog in enumerate((expected, actual)):
        for found in catalog:
            is_one_of_many = found.kind in _NAMED
            key = (found.kind, found.schema, found.owner) if is_one_of_many else found.key
            groups[key][side].append(found)
    missing: list[CatalogObject] = []
    extra: list[CatalogObject] = []
    for wanted, there in groups.values():
        pairs += _take_pairs(wanted, there)
        missing += wanted
        extra += there
    return pairs, missing, extra


def _take_pairs(wanted: list[CatalogObject], there: list[CatalogObject]) -> Iterator[Pair]:
    """Take out of the two lists what belongs together.

    First what is the same in name and definition; then what nobody gave its name, by its definition; then by
    name; then, as a change of name, by definition.
    """
    for is_match in (_same, _same_without_name, _same_name, _same_definition):
        for one in list(wanted):
            other = next((candidate for candidate in there if is_match(one, candidate)), None)
            if other is not None:
                wanted.remove(one)
                there.remove(other)
                yield one, other


def _same(one: CatalogObject, other: CatalogObject) -> bool:
    return _same_name(one, other) and _same_definition(one, other)


def _same_without_name(one: CatalogObject, other: CatalogObject) -> bool:
    return is_generated_name(one) and _same_definition(one, other)


def _same_name(one: CatalogObject, other: CatalogObject) -> bool:
    return one.name == other.name


def _same_definition(one: CatalogObject, other: CatalogObject) -> bool:
    wanted, there = one.facets.get(DEFINITION), other.facets.get(DEFINITION)
    if wanted is None or there is None:
        return one.key == other.key
    return same_meaning(wanted, there)


def _facets(wanted: CatalogObject, there: CatalogObject) -> Iterator[Difference]:
    if wanted.name != there.name and not is_generated_name(wanted):
        yield Difference(DifferenceKind.CHANGED, wanted, NAME, wanted.name, there.name)
    for facet in _labels(wanted, there):
        one, other = wanted.facets.get(facet), there.facets.get(facet)
        if one == other:
            continue
        if facet in _EXPRESSIONS and one is not None and other is not None and same_meaning(one, other):
            continue
        yield Difference(DifferenceKind.CHANGED, wanted, facet, one, other)


def _labels(*objects: CatalogObject) -> Iterable[str]:
    return dict.fromkeys(label for found in objects for label in found.facets)
