"""The name of a table as a person writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.settings import TableName

NAMES = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=15
).filter(str.strip)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("workspace", None, "workspace"),
        ("core.workspace", "core", "workspace"),
        (" core.workspace ", "core", "workspace"),
        ("Core.Workspace", "core", "workspace"),
        ('"Core"."Workspace"', "Core", "Workspace"),
        ('core."Work.space"', "core", "Work.space"),
        ('"a""b"', None, 'a"b'),
        ("müller._t$1", "müller", "_t$1"),
    ],
)
def test_parts_are_read_by_the_rules_of_postgresql(text: str, schema: str | None, name: str) -> None:
    """Without quotes a name is folded, in quotes it is taken as it is."""
    assert TableName.parse(text) == TableName(schema, name)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a.b.c", "a b", "1a", '"a', '""', 'a"b"', "a;b", "x" * 64, '"\x00"']
)
def test_anything_else_is_refused(text: str) -> None:
    """A text that is no table name raises and is named."""
    with pytest.raises(ValueError, match=r"name|longer"):
        TableName.parse(text)


@given(schema=st.none() | NAMES, name=NAMES)
def test_the_text_of_a_name_reads_back(schema: str | None, name: str) -> None:
    """`str()` quotes where it has to."""
    assert TableName.parse(str(TableName(schema, name))) == TableName(schema, name)
