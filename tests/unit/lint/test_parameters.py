"""Parameters become `$1`, and nothing else changes."""

from __future__ import annotations

import pytest

from upgrader.lint.parameters import number_parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1", "select 1"),
        ("update t set a = %(a)s, b = %(b)s, c = %(a)s", "update t set a = $1, b = $2, c = $1"),
        ("insert into t values (%s, %b, %t)", "insert into t values ($1, $2, $3)"),
        ("select %(a)s::INTEGER", "select $1::INTEGER"),
        ("update t set a = :a where b = :b and c = :a", "update t set a = $1 where b = $2 and c = $1"),
        ("select :a::uuid, b::text, :c", "select $1::uuid, b::text, $2"),
        ("select a[1:2], a[i:n]", "select a[1:2], a[i:n]"),
        ("select $1, %(a)s, $3", "select $1, $4, $3"),
        ("select ':a', '%(a)s', 'it''s :b'", "select ':a', '%(a)s', 'it''s :b'"),
        ('select ":a", "%(b)s" from "t%s"', 'select ":a", "%(b)s" from "t%s"'),
        ("select E'\\':a' , :b", "select E'\\':a' , $1"),
        ("do $$ begin x := :a; end $$", "do $$ begin x := :a; end $$"),
        ("do $f$ select $$:a$$ $f$; select :b", "do $f$ select $$:a$$ $f$; select $1"),
        ("select 1 -- :a %(b)s\n, :c", "select 1 -- :a %(b)s\n, $1"),
        ("select /* :a /* %s */ :b */ :c", "select /* :a /* %s */ :b */ $1"),
        ("select a % b, a %% b", "select a % b, a %% b"),
        ("select é :é", "select é :é"),
    ],
)
def test_outside_of_quotes(text: str, expected: str):
    """Only what is neither quoted nor a comment; one name has one number."""
    assert number_parameters(text) == expected


def test_percent():
    """Where the driver reads `%%` as `%`, quotes are no exception."""
    text = "select a %% 2, 'a%%' where b = %(b)s -- 5%%"
    assert number_parameters(text, escapes_percent=True) == "select a % 2, 'a%' where b = $1 -- 5%"
    assert number_parameters("like '5%%'") == "like '5%%'"


def test_lines_stay():
    """A parameter never changes which line something is on."""
    text = "update t\nset a = %(a)s,\n\n b = :b -- x\n"
    assert number_parameters(text).count("\n") == text.count("\n")
