"""Two catalogs in, differences out; without a database."""

from __future__ import annotations

import pytest

from upgrader.check.catalog.compare import Difference, DifferenceKind, compare_catalogs
from upgrader.check.catalog.meaning import same_meaning
from upgrader.check.catalog.names import is_generated_name
from upgrader.check.catalog.objects import Catalog, CatalogObject, ObjectKind
from upgrader.check.catalog.sentences import tell_change


def _object(kind: ObjectKind, name: str, owner: str | None = None, **facets: str | None) -> CatalogObject:
    return CatalogObject(kind, "core", owner, name, facets)


def _check(name: str, definition: str, owner: str = "item") -> CatalogObject:
    return _object(ObjectKind.CONSTRAINT, name, owner, definition=definition)


def _catalog(*objects: CatalogObject) -> Catalog:
    return Catalog({one.key: one for one in objects})


TABLE = _object(ObjectKind.TABLE, "item", persistence="logged")
COLUMN = _object(ObjectKind.COLUMN, "price", "item", type="integer", default=None)


def test_equal_catalogs_do_not_differ() -> None:
    """Nothing is told of what is the same."""
    assert compare_catalogs(_catalog(TABLE, COLUMN), _catalog(COLUMN, TABLE)) == []


def test_two_empty_catalogs_do_not_differ() -> None:
    """Nor of nothing."""
    assert compare_catalogs(_catalog(), _catalog()) == []


def test_the_parts_of_a_missing_table_are_not_told_again() -> None:
    """One sentence for a table with all that is in it; a column brings its sequence along."""
    sequence = _object(ObjectKind.COLUMN_SEQUENCE, "price", "item")
    assert compare_catalogs(_catalog(TABLE, COLUMN, sequence), _catalog()) == [
        Difference(DifferenceKind.MISSING, TABLE)
    ]
    assert compare_catalogs(_catalog(TABLE), _catalog(TABLE, COLUMN, sequence)) == [
        Difference(DifferenceKind.EXTRA, COLUMN)
    ]


def test_each_facet_is_told_by_itself() -> None:
    """What is only more than asked for is told apart from what is otherwise."""
    other = _object(ObjectKind.COLUMN, "price", "item", type="bigint", default="0")
    found = compare_catalogs(_catalog(COLUMN), _catalog(other))
    assert [(one.facet, one.expected, one.actual, one.is_unasked) for one in found] == [
        ("default", None, "0", True),
        ("type", "integer", "bigint", False),
    ]


def test_names_that_the_server_made_up_are_matched_by_definition() -> None:
    """The same checks numbered the other way round are the same."""
    wanted = _catalog(_check("item_check", "CHECK (a)"), _check("item_check1", "CHECK (b)"))
    there = _catalog(_check("item_check", "CHECK (b)"), _check("item_check1", "CHECK (a)"))
    assert compare_catalogs(wanted, there) == []


def test_a_name_that_was_asked_for_is_compared() -> None:
    """The same constraint under another name is one finding, not two."""
    (found,) = compare_catalogs(
        _catalog(_check("positive", "CHECK (a)")), _catalog(_check("item_a_check", "CHECK (a)"))
    )
    assert (found.kind, found.facet, found.expected, found.actual) == (
        DifferenceKind.CHANGED,
        "name",
        "positive",
        "item_a_check",
    )


def test_two_equal_constraints_are_counted() -> None:
    """One of two that are alike may be missing."""
    wanted = _catalog(_check("item_check", "CHECK (a)"), _check("item_check1", "CHECK (a)"))
    (found,) = compare_catalogs(wanted, _catalog(_check("item_check", "CHECK (a)")))
    assert (found.kind, found.found.name) == (DifferenceKind.MISSING, "item_check1")


@pytest.mark.parametrize(
    ("name", "owner", "expected"),
    [
        ("item_pkey", "item", True),
        ("item_price_key", "item", True),
        ("item_price_fkey2", "item", True),
        ("item_check1", "item", True),
        ("items_check", "item", False),
        ("positive", "item", False),
        ("item_positive", "item", False),
        (
            "entity_with_a_rather_long_na_parent_entity_of_this_one_id_fkey1",
            "entity_with_a_rather_long_name_7",
            True,
        ),
    ],
)
def test_names_of_the_server_are_recognised(name: str, owner: str, expected: bool) -> None:
    """By table, columns and ending; also where they are cut to 63 bytes."""
    assert is_generated_name(_check(name, "CHECK (a)", owner)) is expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
            "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))",
        ),
        (
            "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
            "CHECK ((status = ANY (ARRAY['a'::text, 'b'::text])))",
        ),
        ("'x'::character varying", "'x'::text"),
        ("'it''s'::core.mood", "'it''s'::other.mood"),
    ],
)
def test_prints_of_one_meaning_are_the_same(one: str, other: str) -> None:
    """What depends on the way by which an expression came is not looked at."""
    assert same_meaning(one, other)
    assert same_meaning(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CHECK ((a OR (b AND c)))", "CHECK (((a OR b) AND c))"),
        ("CHECK ((status = 'a'::text))", "CHECK ((status = 'b'::text))"),
        ("'x'::text", "'y'::text"),
        ("'x'::text", "lower('x'::text)"),
        ("(a)::integer", "a"),
        ("UNIQUE (a, b)", "UNIQUE (b, a)"),
        ("lower(x)", "upper(x)"),
        ("CHECK ((x ~ '(a)'::text))", "CHECK ((x ~ 'a'::text))"),
        ("CHECK ((x <> '::text'::text))", "CHECK ((x <> ''::text))"),
    ],
)
def test_other_expressions_stay_others(one: str, other: str) -> None:
    """Parentheses that bind, literals, and casts between other types are compared."""
    assert not same_meaning(one, other)


def test_long_values_are_shown_from_where_they_part() -> None:
    """A definition of thousands of characters is one short line."""
    wanted, there = "select " + "a, " * 500 + "b", "select " + "a, " * 500 + "c"
    view = _object(ObjectKind.VIEW, "all_of_it", definition=wanted)
    (found,) = compare_catalogs(
        _catalog(view), _catalog(_object(ObjectKind.VIEW, "all_of_it", definition=there))
    )
    told = tell_change(found, expected="in the models", actual="after the commands")
    assert len(told) < 300
    assert told.endswith("a, c after the commands")
