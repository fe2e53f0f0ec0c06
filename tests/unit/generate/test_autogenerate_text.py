"""SQL goes into a module and comes out of it unchanged; indexes are taken apart; names are unique."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_mock_engine

from upgrader.command import CommandKind
from upgrader.generate.autogenerate.change import Change, Stage
from upgrader.generate.autogenerate.command_text import command_text
from upgrader.generate.autogenerate.draft import Draft, names_of
from upgrader.generate.autogenerate.index_definition import IndexDefinition
from upgrader.generate.autogenerate.python_text import execute_statement
from upgrader.generate.slug import LENGTH_LIMIT, Slug

_DIALECT = create_mock_engine("postgresql+psycopg://", lambda *_: None).dialect


class Recorder:
    """Stands where the connection is, and keeps what the server would be sent."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.sent: list[str] = []

    def execute(self, construct: Any) -> None:
        """Compile as the driver's dialect does; the driver halves each %% again."""
        compiled = construct.compile(dialect=_DIALECT)
        assert compiled.params == {}
        self.sent.append(str(compiled).replace("%%", "%"))

    def exec_driver_sql(self, statement: str, execution_options: dict[str, bool]) -> None:
        """Take a statement as it is."""
        assert execution_options == {"no_parameters": True}
        self.sent.append(statement)


def sent(source: str) -> str:
    """Execute a generated call; give what is sent, without the indentation around quoted parts."""
    import sqlalchemy

    recorder = Recorder()
    exec("if True:\n" + source, {"connection": recorder, "text": sqlalchemy.text})
    (statement,) = recorder.sent
    return statement


LITERALS = st.text(
    alphabet=st.sampled_from("ab:%\\'\"\n\t é$_{}")
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)


@given(LITERALS, st.booleans())
def test_any_literal_survives(value: str, is_long: bool):
    """Whatever a comment or a default holds: colons, percent signs, quotes, backslashes, line breaks."""
    literal = "'" + value.replace("'", "''") + "'"
    sql = f"COMMENT ON TABLE {'a' * 80 if is_long else 'a'} IS {literal}"
    assert " ".join(sent(execute_statement(sql, connection="connection")).split()) == " ".join(sql.split())
    assert literal in sent(execute_statement(sql, connection="connection"))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $x$\n  select 'it''s'\n$x$",
        "SELECT ':a::b'",
        "SELECT '\\:x'",
        "SELECT a::text, '%(x)s %s %%', E'\\\\:'",
        "SELECT ':a:b::c:'",
    ],
)
def test_statement_that_text_would_read_as_something_else(sql: str):
    """What `text()` cannot be told goes to the driver as it is."""
    assert sent(execute_statement(sql, connection="connection")) == sql


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE INDEX i ON core.t (a)", IndexDefinition(("a",))),
        (
            'CREATE UNIQUE INDEX "i ON x" ON ONLY_."T (x)" USING btree (a, lower(b) DESC, "c,d" text_ops)',
            IndexDefinition(("a", "lower(b) DESC", '"c,d" text_ops'), is_unique=True),
        ),
        (
            "CREATE UNIQUE INDEX i ON t USING gin (a) INCLUDE (b, c) NULLS NOT DISTINCT WITH (fillfactor='70')"
            " TABLESPACE fast WHERE ((a > 0) AND (b <> ' WHERE (x'::text))",
            IndexDefinition(
                ("a",),
                is_unique=True,
                method="gin",
                include=("b", "c"),
                nulls_not_distinct=True,
                parameters="fillfactor='70'",
                tablespace="fast",
                where="(a > 0) AND (b <> ' WHERE (x'::text)",
            ),
        ),
        (
            "CREATE INDEX i ON t USING gist (f(a, 'x,y)'), (a || b)) WHERE a IS NULL",
            IndexDefinition(("f(a, 'x,y)')", "(a || b)"), method="gist", where="a IS NULL"),
        ),
    ],
)
def test_index_is_taken_apart(statement: str, expected: IndexDefinition):
    """As SQLAlchemy and as PostgreSQL write it; what is in quotes is nobody's syntax."""
    assert IndexDefinition.parse(statement) == expected


def test_names_are_unique_and_usable():
    """Long and strange names of indexes become names of commands that do not meet."""
    drafts = [
        Draft("", "", CommandKind.FAST, (Change(Stage.TABLES, ("x",)),)),
        *(
            Draft(f"build {name}", "", CommandKind.FAST, ())
            for name in ("é", "ü", "A" * 90, "A" * 90 + "b", "ab", "AB")
        ),
    ]
    names = names_of(drafts, "grow")
    slugs = [Slug.of(name).class_name.casefold() for name in names]
    assert names[0] == "grow"
    assert len(set(slugs)) == len(slugs)
    assert all(len(Slug.of(name).text) <= LENGTH_LIMIT for name in names)


def test_way_back_of_what_is_lost_raises_first():
    """All losses are told, those that happened last first; nothing is executed before."""
    change = Change(
        Stage.DROP_TABLES, ("DROP TABLE a",), ("CREATE TABLE a ()",), lost="The rows of a are gone."
    )
    source = command_text(
        Draft("", "", CommandKind.FAST, (change,)),
        version="1.0.0",
        timestamp=1,
        class_name="X",
        sentence="X.",
    )
    names: dict[str, Any] = {}
    exec(compile(source, "x.py", "exec"), names)
    recorder = Recorder()
    with pytest.raises(names["IrreversibleError"], match="rows of a are gone"):
        names["X"]().down(recorder)
    assert recorder.sent == []
