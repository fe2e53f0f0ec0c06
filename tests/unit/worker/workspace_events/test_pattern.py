"""Patterns of events."""

from __future__ import annotations

import pytest

from upgrader.worker.workspace_events.pattern import is_name, is_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("person.created", "person.created", True),
        ("person.created", "person.updated", False),
        ("person.created", "salesperson.created", False),
        ("*.created", "person.created", True),
        ("*.created", "person.updated", False),
        ("*.created", "created", False),
        ("person.*", "person.restored", True),
        ("person.*", "person.tag.created", False),
        ("*", "person.created", False),
        ("*", "ping", True),
        ("**", "person.created", True),
        ("**", "ping", True),
        ("mail.**", "mail.calendar.synced", True),
        ("mail.**", "mail", True),
        ("mail.**", "email.received", False),
        ("**.created", "a.b.created", True),
    ],
)
def test_matching(pattern: str, name: str, is_match: bool) -> None:
    """`*` stands for one part of a name, `**` for any number of them, all else for itself."""
    assert matches(pattern, name) is is_match


@pytest.mark.parametrize("text", ["person.created", "ping", "*.created", "**", "a-b.c_d", "größe.updated"])
def test_patterns(text: str) -> None:
    """Parts between dots make a pattern."""
    assert is_pattern(text)


@pytest.mark.parametrize(
    "text", ["", ".", "person.", ".created", "a..b", "per*.created", "a b.c", "a.***", "a\n.b"]
)
def test_no_patterns(text: str) -> None:
    """A part is whole: empty ones, spaces and wildcards within a part are refused."""
    assert not is_pattern(text)


def test_a_name_has_no_wildcards() -> None:
    """What is emitted has a name, and is no pattern."""
    assert is_name("person.created")
    assert not is_name("*.created")
    assert not is_name("person..created")
