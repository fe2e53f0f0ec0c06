"""Which statements end a transaction, however they are written."""

from __future__ import annotations

import pytest

from upgrader.database.statements import forbidden_statement

FORBIDDEN = [
    ("COMMIT", "COMMIT"),
    ("commit", "COMMIT"),
    ("CoMmIt;", "COMMIT"),
    ("commit work", "COMMIT"),
    ("commit and chain", "COMMIT"),
    ("commit prepared 'x'", "COMMIT"),
    ("rollback", "ROLLBACK"),
    ("rollback work", "ROLLBACK"),
    ("rollback transaction", "ROLLBACK"),
    ("rollback and chain", "ROLLBACK"),
    ("rollback prepared 'x'", "ROLLBACK"),
    ("end", "END"),
    ("end transaction", "END"),
    ("abort", "ABORT"),
    ("begin", "BEGIN"),
    ("begin isolation level serializable", "BEGIN"),
    ("start transaction", "START"),
    ("prepare transaction 'x'", "PREPARE TRANSACTION"),
    ("prepare\n\ttransaction 'x'", "PREPARE TRANSACTION"),
    ("discard all", "DISCARD"),
    ("discard temp", "DISCARD"),
    ("listen news", "LISTEN"),
    # Where it stands.
    ("  \t\r\n\f commit", "COMMIT"),
    (";commit", "COMMIT"),
    (";; ; commit", "COMMIT"),
    ("(commit)", "COMMIT"),
    ("((  commit", "COMMIT"),
    ("select 1; commit", "COMMIT"),
    ("select 1;commit;select 2", "COMMIT"),
    ("select 1;\n\n  rollback", "ROLLBACK"),
    # Comments.
    ("-- words\ncommit", "COMMIT"),
    ("--\ncommit", "COMMIT"),
    ("-- words\r\ncommit", "COMMIT"),
    ("/* words */ commit", "COMMIT"),
    ("/**/commit", "COMMIT"),
    ("/***/commit", "COMMIT"),
    ("/* one */ /* two */ -- three\n commit", "COMMIT"),
    ("/* outer /* inner */ outer */ commit", "COMMIT"),
    ("/* /* /* */ */ */commit", "COMMIT"),
    ("select 1 -- ;\n; commit", "COMMIT"),
    ("select 1 /* ' */; commit -- '", "COMMIT"),
    ("prepare/* */transaction 'x'", "PREPARE TRANSACTION"),
    # Strings that end before it.
    ("select ';'; commit", "COMMIT"),
    ("select 'it''s'; commit", "COMMIT"),
    (r"select 'back\'; commit", "COMMIT"),
    (r"select name'back\'; commit", "COMMIT"),
    (r"select E'it\'s'; commit", "COMMIT"),
    (r"select e'back\\'; commit", "COMMIT"),
    ("select '--'; commit", "COMMIT"),
    ("select '/*'; commit", "COMMIT"),
    ('select ";"; commit', "COMMIT"),
    ('select "a""b"; commit', "COMMIT"),
    ("select $$;$$; commit", "COMMIT"),
    ("select $a$ $b$ ; $a$; commit", "COMMIT"),
    ("select $ä$;$ä$; commit", "COMMIT"),
    ("select a$b$ ; commit; select c$b$", "COMMIT"),
    ("select $1; commit", "COMMIT"),
    ("do $$ begin null; end $$; commit", "COMMIT"),
]

ALLOWED = [
    "",
    " ",
    ";",
    ";;;",
    "--",
    "-- commit",
    "/* commit */",
    "/* ; commit",
    "/* a /* b */ ; commit",
    "select 1",
    "select 1;",
    "rollback to s",
    "rollback to savepoint s",
    "ROLLBACK WORK TO SAVEPOINT s",
    "rollback transaction to s",
    "rollback\n to s",
    "savepoint s",
    "release savepoint s",
    "prepare plan as select 1",
    "prepare transactional as select 1",
    "execute plan",
    "select 'commit'",
    "select ';commit'",
    "select 'it''s; commit'",
    r"select E'it\'s; commit'",
    r"select E'\\\'; commit'",
    "select $$; commit$$",
    "select $tag$; commit; $$ ; rollback $tag$",
    'create table "; commit" (id int)',
    "select 1 -- ; commit",
    "select 1 /* ; commit */",
    "select 1 as commit",
    "select commit from begin",
    "commits",
    "beginning",
    "ended",
    "start_transaction()",
    "commit_log",
    "update t set a = 1 where b = 'end'",
    "select case when true then 1 end",
    "do $$ begin commit; end $$",
    "create function f() returns int language sql begin atomic select 1; select 2; end",
    "create procedure p() language plpgsql as $$ begin commit; end $$",
    'alter table t add column start int, add column "end" int',
    "notify news",
    "unlisten news",
    "set transaction read only",
    "lock table t",
    "'unclosed ; commit",
    '"unclosed ; commit',
    "$$unclosed ; commit",
    "copy t from stdin",
]


@pytest.mark.parametrize(("text", "words"), FORBIDDEN, ids=lambda value: repr(value)[:50])
def test_is_found(text: str, words: str):
    """What ends or leaves a transaction is found behind anything, and named by its first words."""
    assert forbidden_statement(text) == words


@pytest.mark.parametrize("text", ALLOWED, ids=lambda value: repr(value)[:50])
def test_is_left_alone(text: str):
    """Savepoints, other statements, and words in strings, names and comments are none of it."""
    assert forbidden_statement(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values " + "('it''s; commit'), " * 200_000 + "(1)",
        "select 1; " * 200_000 + "-- commit",
        "/*" * 200_000 + " commit",
        "$" * 200_000 + " commit",
        "'" * 200_001 + " commit",
        "-- commit\n" * 100_000,
    ],
    ids=["strings", "statements", "comments", "dollars", "quotes", "lines"],
)
def test_long_text_is_read_once(text: str):
    """A text of megabytes takes no more than its length: nothing is looked at again and again."""
    assert forbidden_statement(text) is None
