"""What is dangerous is found, at the line that issued it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.lint.builders import FILE, lint, step, told
from upgrader.command import CommandKind
from upgrader.errors import OperatorError
from upgrader.lint import program
from upgrader.lint.program import Squawk, find_program, version_number
from upgrader.lint.sizes import TableSize, TableSizes
from upgrader.lint.squawk import lint_steps
from upgrader.model import CapturedStatement, Direction, Severity

NOT_VALID = "constraint-missing-not-valid"


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        ("create index i on core.invoice (number)", ["require-concurrent-index-creation"]),
        ("drop index core.i", ["require-concurrent-index-deletion"]),
        ("reindex table core.invoice", ["require-concurrent-reindex"]),
        ("alter table t add column a bigint not null", ["adding-required-field"]),
        ("alter table t add column a uuid default gen_random_uuid()", ["adding-field-with-default"]),
        ("alter table t add column a float8 not null default random()", ["adding-field-with-default"]),
        ("alter table t add column a int8 generated always as (b + 1) stored", ["adding-field-with-default"]),
        ("alter table t drop column a", ["ban-drop-column"]),
        ("alter table t rename column a to b", ["renaming-column"]),
        ("alter table t rename to u", ["renaming-table"]),
        ("alter table t alter column a type text", ["changing-column-type"]),
        ("alter table t alter column a set not null", ["adding-not-nullable-field"]),
        ("alter table t alter column a drop not null", ["ban-drop-not-null"]),
        ("alter table t add foreign key (a) references u", [NOT_VALID, "adding-foreign-key-constraint"]),
        ("alter table t add constraint c check (a > 0)", [NOT_VALID]),
        ("alter table t add unique (a)", [NOT_VALID, "disallowed-unique-constraint"]),
        ("alter table t add primary key (a)", [NOT_VALID, "adding-serial-primary-key-field"]),
        ("alter table t detach partition p", ["require-concurrent-partition-detach"]),
        ("drop table t", ["ban-drop-table"]),
        ("drop schema s", ["ban-drop-schema"]),
        ("drop view if exists v", ["ban-drop-view"]),
        ("truncate t cascade", ["ban-truncate-cascade"]),
    ],
)
def test_dangerous_statements(statement: str, rules: list[str]):
    """What strong_migrations and squawk warn of: locks, rewrites, and what older code still uses."""
    findings = lint(step("select 1", statement))
    assert [one.rule for one in findings] == rules
    for one in findings:
        assert (one.file, one.line, one.step) == (Path(FILE), 20, "1.0.0_Change_1")
        assert one.severity is Severity.WARNING
        assert one.remedy.endswith(f"-- squawk-ignore {one.rule}")


@pytest.mark.parametrize(
    "statement",
    [
        "alter table t add column a bigint",
        "alter table t add column a bigint not null default 0",
        "alter table t add foreign key (a) references u not valid",
        "alter table t validate constraint c",
        "create table t (id bigint generated always as identity primary key, a text not null)",
        "update t set a = %(a)s where id = any(%(ids)s::bigint[])",
        "insert into t (a) values (%(a)s) on conflict do nothing",
        "drop trigger if exists x on t",
        "do $$ begin alter table t drop column a; end $$",
    ],
)
def test_harmless_statements(statement: str):
    """What only needs a short lock, whatever changes rows, and what cannot be looked into."""
    assert told(step(statement)) == []


def test_context_counts():
    """An index on a table that the same step has made locks nobody out."""
    made = "create table t (id bigint)"
    assert told(step(made, "create index i on t (id)")) == []
    assert told(step(made), step("create index i on t (id)")) == [(10, "require-concurrent-index-creation")]


def test_several_lines():
    """Each line of a statement leads to the one line of the command that issued it."""
    text = "alter table t\n  drop column a, -- no more\n  drop column b"
    findings = lint(step("select 1", text, "select 2", "drop table u -- done", "drop table v"))
    assert [(one.line, one.message) for one in findings] == [
        (20, "Dropping a column may break existing clients (drop column a)"),
        (20, "Dropping a column may break existing clients (drop column b)"),
        (40, "Dropping a table may break existing clients (drop table u -- done)"),
        (50, "Dropping a table may break existing clients (drop table v)"),
    ]


def test_statement_that_cannot_be_read():
    """It is named, and hides nothing of the others, before and after it."""
    findings = lint(step("drop table t", "alter frobnicate (", "drop table u", "select (", "drop table v"))
    assert [(one.line, one.rule) for one in findings] == [
        (20, "syntax-error"),
        (40, "syntax-error"),
        (10, "ban-drop-table"),
        (30, "ban-drop-table"),
        (50, "ban-drop-table"),
    ]
    assert findings[0].severity is Severity.INFO
    assert findings[0].message.startswith("squawk could not read this statement, and nothing looked at it: ")


def test_only_what_cannot_be_read():
    """A step of nothing else has nothing else to be found."""
    assert told(step("frobnicate")) == [(10, "syntax-error")]
    assert told(step()) == []
    assert lint() == []


def test_percent_signs():
    """A doubled percent sign of the driver's is one for squawk, so that it can read the statement."""
    text = "update t set a = b %% 2 where c like 'x%%' and d = %(d)s::TEXT"
    assert told(step(CapturedStatement(text, FILE, 1, escapes_percent=True))) == []


def test_timeouts_are_the_runners():
    """The runner sets them for each step: a command need not, and may."""
    assert told(step("alter table t add column a text")) == []
    assert told(step("set local lock_timeout = '1s'", "alter table t add column a text")) == []


def test_outside_a_transaction():
    """What may be tried again has to be repeatable; the product's own helper is."""
    own = "create index concurrently i on t (a)"
    assert told(step(own, transactional=False)) == [(10, "prefer-robust-stmts")]
    helped = CapturedStatement(own, FILE, 10, in_transaction=False, is_helped=True)
    assert told(step(helped, transactional=False)) == []
    assert told(step("alter table t add column a text")) == []
    assert told(step("alter table t add column a text", transactional=False)) == [(10, "prefer-robust-stmts")]


def test_way_down():
    """A way down takes away what the way up has made: only what it locks is of interest."""
    down = ["alter table t drop column a", "alter table t rename b to c", "drop table u"]
    assert told(step(*down, direction=Direction.DOWN)) == []
    index = step("create index i on t (a)", direction=Direction.DOWN)
    assert told(index) == [(10, "require-concurrent-index-creation")]


def test_same_finding_twice_is_one():
    """A statement that two directions share, and a loop over the same line, are told once."""
    one = CapturedStatement("drop table t", FILE, 7)
    assert told(step(one, one)) == [(7, "ban-drop-table")]


def test_table_sizes():
    """With a live database a finding says how large the table is."""
    sizes = TableSizes(
        {"core.invoice": TableSize("core.invoice", 1_200_000, 310 * 1024**2)},
        {"invoice": TableSize("invoice", None, 4096, 12_000)},
    )
    text = "alter table {} drop column a"
    steps = [
        step(text.format("core.invoice")),
        step(text.format("invoice"), kind=CommandKind.WORKSPACE),
        step(text.format("invoice")),
    ]
    assert [one.message for one in lint_steps(steps, server_version="15.3 (Debian)", sizes=sizes)] == [
        "Dropping a column may break existing clients"
        " (drop column a; core.invoice has about 1,200,000 rows, 310 MB)",
        "Dropping a column may break existing clients"
        " (drop column a; the largest of 12,000 tables invoice has a number of rows that is not known, 4 kB)",
        "Dropping a column may break existing clients (drop column a)",
    ]


def test_statements_that_were_not_kept():
    """What was too much to be kept is said, and never fails a gate."""
    (finding,) = lint(step("select 1", left_out=1234))
    assert (finding.rule, finding.severity) == ("not-linted", Severity.INFO)
    assert finding.message.startswith("1,234 statements of this step were not looked at")


class TestProgram:
    def test_unknown_rule(self):
        """A name that squawk does not know is told as the operator's mistake."""
        with pytest.raises(OperatorError, match="squawk knows no rule ban-drop-colum"):
            lint(step("select 1"), exclude=("ban-drop-colum",))

    def test_not_installed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        """Without squawk the error says what to install."""
        monkeypatch.setattr(program, "distribution", _no_distribution)
        monkeypatch.setattr(program.sysconfig, "get_path", lambda name: str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        find_program.cache_clear()
        try:
            with pytest.raises(OperatorError, match="squawk is not installed") as caught:
                lint(step("select 1"))
        finally:
            find_program.cache_clear()
        assert caught.value.hint == "pip install 'upgrader[lint]'"

    def test_found_without_path(self, monkeypatch: pytest.MonkeyPatch):
        """The wheel's program is found where the environment's folder is not on PATH."""
        monkeypatch.setenv("PATH", "")
        find_program.cache_clear()
        assert Path(find_program()).name == "squawk"

    def test_other_settings_are_not_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        """A .squawk.toml that lies about changes nothing."""
        (tmp_path / ".squawk.toml").write_text('excluded_rules = ["ban-drop-table"]\n')
        monkeypatch.chdir(tmp_path)
        assert told(step("drop table t")) == [(10, "ban-drop-table")]

    @pytest.mark.parametrize("script", ["#!/bin/sh\necho boom >&2\nexit 3\n", "#!/bin/sh\necho '{'\n"])
    def test_broken_program(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str):
        """A squawk that fails, or says what nobody understands, is an error with something to do."""
        broken = tmp_path / "squawk"
        broken.write_text(script)
        broken.chmod(0o755)
        monkeypatch.setattr(program, "find_program", lambda: str(broken))
        with pytest.raises(OperatorError, match=r"squawk (failed: boom|answered something)") as caught:
            Squawk(server_version=180000).read("select 1", in_transaction=True)
        assert "pip install" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        ("version", "number"),
        [
            (180004, "18.4"),
            (140000, "14.0"),
            ("18.1 (Debian 18.1-1)", "18.1"),
            ("19beta1", "19"),
            ("15", "15"),
        ],
    )
    def test_versions(self, version: int | str, number: str):
        """A server's version as a number or as a text becomes what squawk reads."""
        assert version_number(version) == number


def _no_distribution(name: str) -> object:
    raise program.PackageNotFoundError(name)
