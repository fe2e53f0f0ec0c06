"""Making a dump ready for the server."""

from __future__ import annotations

import pytest

from upgrader.check.base_schema import line_of, prepare_sql
from upgrader.errors import OperatorError


@pytest.mark.parametrize(
    "line",
    [
        r"\restrict jUnK'",
        r"\unrestrict jUnK",
        r"\connect app",
        "GRANT ALL ON SCHEMA core TO app;",
        "REVOKE ALL ON SCHEMA core\n    FROM app;",
        "ALTER TABLE ONLY core.t OWNER TO app;",
        'ALTER FUNCTION core."f x"(integer, text) OWNER TO "the app";',
        "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA core GRANT ALL ON TABLES TO app;",
        "SET transaction_timeout = 0;",
    ],
)
def test_what_a_scratch_server_cannot_do_is_blanked_out(line: str) -> None:
    """Everything else stays at its place."""
    before, after = "select 1;\n", "\nselect 2;"
    prepared = prepare_sql(before + line + after, shown_as="base.sql")
    assert prepared.startswith(before)
    assert prepared.endswith(after)
    assert len(prepared) == len(before + line + after)
    assert not prepared[len(before) : -len(after)].strip()


@pytest.mark.parametrize(
    "text",
    [
        "select 'a\n\\echo b';",
        "select 'it''s\nGRANT x TO y;';",
        "select E'\\'\nGRANT x TO y;';",
        "select $$\n\\i file\n$$;",
        "select $body$ $$\nGRANT a TO b;\n$body$;",
        "/* \n\\copy */ select 1;",
        'create table "a\n\\b" ();',
        "-- \\i file\nselect 1;",
        "ALTER TABLE core.t ADD owner text;",
        "create table t (price text default '$1 $2');",
        "COPY core.t FROM '/tmp/file';",
    ],
)
def test_what_only_looks_like_it_is_kept(text: str) -> None:
    """Strings, function bodies, quoted names and comments are no commands."""
    assert prepare_sql(text, shown_as="base.sql") == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select 1;\n\\i other.sql\n", r"base\.sql:2: \\i is a command of psql"),
        ("select 1;\n\\copy t from 'x'\n", r"base\.sql:2: \\copy"),
        ("\nCOPY core.t (id, label) FROM stdin;\n1\tone\n\\.\n", r"base\.sql:2: .*data"),
    ],
)
def test_what_would_be_lost_is_refused(text: str, words: str) -> None:
    """Data and included files would be missing without a word: they are refused, with their line."""
    with pytest.raises(OperatorError, match=words) as caught:
        prepare_sql(text, shown_as="base.sql")
    assert "pg_dump --schema-only" in str(caught.value.hint)


def test_lines_are_counted_from_one() -> None:
    """As editors do."""
    assert [line_of("a\nb\n", position) for position in (0, 1, 2)] == [1, 1, 2]
