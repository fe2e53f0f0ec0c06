"""Each kind of drift, made by hand in a schema that was equal to the models before, is found."""

from __future__ import annotations

import re

import pytest

from tests.support.checking import checking
from tests.support.project import Project
from upgrader.model import Severity

MODELS = "tests.support.drift_models:metadata"
CREATE_ALL = """
from tests.support.drift_models import metadata
connection.execute(text("create schema core"))
metadata.create_all(connection)
"""

ERRORS = {
    "enum-value-added": (
        "alter type core.state add value 'void'",
        "enum core.state: values 'open', 'paid' in the models, 'open', 'paid', 'void' after the commands",
    ),
    "enum-order": (
        """alter table core.invoice drop constraint invoice_state_check; drop index core.ix_state;
        alter table core.invoice alter state drop default, alter state type text;
        drop type core.state; create type core.state as enum ('paid', 'open');
        alter table core.invoice alter state type core.state using state::core.state;
        alter table core.invoice alter state set default 'open', add check (state in ('open', 'paid'));
        create index ix_state on core.invoice (state) where net > 100""",
        "enum core.state: values 'open', 'paid' in the models, 'paid', 'open' after the commands",
    ),
    "check-changed": (
        "alter table core.invoice drop constraint net_positive, add constraint net_positive check (net >= 0)",
        "constraint core.invoice.net_positive: CHECK ((net > (0)::numeric)) in the models,"
        " CHECK ((net >= (0)::numeric)) after the commands",
    ),
    "check-dropped": (
        "alter table core.invoice drop constraint net_positive",
        "the models ask for the constraint core.invoice.net_positive, and no command makes it",
    ),
    "unnamed-check-dropped": (
        "alter table core.invoice drop constraint invoice_state_check",
        "the models ask for the constraint core.invoice.invoice_state_check, and no command makes it",
    ),
    "exclude-operator": (
        """alter table core.invoice drop constraint no_overlap,
        add constraint no_overlap exclude using gist (room with -|-)""",
        "EXCLUDE USING gist (room WITH &&) in the models, EXCLUDE USING gist (room WITH -|-) after",
    ),
    "partial-predicate": (
        "drop index core.ix_state; create index ix_state on core.invoice (state) where net > 1",
        "WHERE (net > (100)::numeric) in the models",
    ),
    "partial-index-made-whole": (
        "drop index core.ix_state; create index ix_state on core.invoice (state)",
        "index core.invoice.ix_state: CREATE INDEX ON core.invoice USING btree (state) WHERE",
    ),
    "index-include": (
        "drop index core.ix_issued; create index ix_issued on core.invoice (issued)",
        "(issued) INCLUDE (net) in the models",
    ),
    "index-method": (
        "drop index core.ix_issued; create index ix_issued on core.invoice using brin (issued)",
        "USING brin (issued) after the commands",
    ),
    "index-operators": (
        "drop index core.ix_lines; create index ix_lines on core.invoice using gin (lines jsonb_path_ops)",
        "USING gin (lines jsonb_path_ops) after the commands",
    ),
    "expression-index": (
        "drop index core.ix_title; create index ix_title on core.invoice (upper(title))",
        "upper((title)::text)) after the commands",
    ),
    "index-missing": (
        "drop index core.ix_title",
        "the models ask for the index core.invoice.ix_title, and no command makes it",
    ),
    "index-made-unique": (
        "drop index core.ix_title; create unique index ix_title on core.invoice (lower(title))",
        "CREATE UNIQUE INDEX ON core.invoice",
    ),
    "index-name": (
        "alter index core.ix_title rename to ix_lower_title",
        "index core.invoice.ix_title: name ix_title in the models, ix_lower_title after the commands",
    ),
    "computed-expression": (
        """alter table core.invoice drop column gross,
        add column gross numeric(10, 2) generated always as (net * 1.19) stored""",
        "core.invoice.gross: generated stored (net * 1.2) in the models, stored (net * 1.19) after",
    ),
    "domain-check": (
        """alter domain core.code drop constraint code_check;
        alter domain core.code add constraint code_check check (value ~ '^[A-Z0-9]+$')""",
        "domain constraint core.code.code_check: CHECK ((VALUE ~ '^[A-Z]+$'::text)) in the models",
    ),
    "domain-type": (
        """alter table core.invoice drop column code; drop domain core.code;
        create domain core.code as varchar(8) constraint code_check check (value ~ '^[A-Z]+$');
        alter table core.invoice add column code core.code""",
        "domain core.code: text in the models, character varying(8) after the commands",
    ),
    "collation": (
        """drop index core.ix_title; alter table core.invoice alter title type varchar(40) collate "POSIX";
        create index ix_title on core.invoice (lower(title))""",
        'core.invoice.title: collation "C" in the models, "POSIX" after the commands',
    ),
    "sequence-increment": (
        "alter sequence core.invoice_number increment 10",
        "sequence core.invoice_number: increment 2 in the models, 10 after the commands",
    ),
    "sequence-start": (
        "alter sequence core.invoice_number start 1",
        "sequence core.invoice_number: start 1000 in the models, 1 after the commands",
    ),
    "column-length": (
        'alter table core.invoice alter title type varchar(20) collate "C"',
        "core.invoice.title: character varying(40) in the models, character varying(20) after the commands",
    ),
    "column-precision": (
        "alter table core.customer add fee numeric; alter table core.customer drop fee;"
        "alter table core.invoice drop gross, alter net type numeric(12, 4);"
        "alter table core.invoice add gross numeric(10, 2) generated always as (net * 1.2) stored",
        "core.invoice.net: numeric(10,2) in the models, numeric(12,4) after the commands",
    ),
    "column-type": (
        "alter table core.reminder alter day type timestamp",
        "core.reminder.day: date in the models, timestamp without time zone after the commands",
    ),
    "column-missing": (
        "alter table core.customer drop column note",
        "the models ask for the column core.customer.note, and no command makes it",
    ),
    "table-missing": (
        "drop table core.reminder",
        "the models ask for the table core.reminder, and no command makes it",
    ),
    "nullability": (
        "alter table core.invoice alter title drop not null",
        "core.invoice.title: not null in the models, nullable after the commands",
    ),
    "default-changed": (
        "alter table core.invoice alter state set default 'paid'",
        "core.invoice.state: default 'open'::core.state in the models, 'paid'::core.state after the commands",
    ),
    "default-missing": (
        "alter table core.invoice alter issued drop default",
        "core.invoice.issued: default CURRENT_DATE in the models, none after the commands",
    ),
    "identity": (
        "alter table core.invoice alter id set generated by default",
        "core.invoice.id: identity always in the models, by default after the commands",
    ),
    "identity-parameters": (
        "alter table core.invoice alter id set increment 5",
        "sequence of the column core.invoice.id: increment 1 in the models, 5 after the commands",
    ),
    "foreign-key-action": (
        """alter table core.invoice drop constraint invoice_customer_id_fkey,
        add foreign key (customer_id) references core.customer""",
        "REFERENCES core.customer(id) ON DELETE CASCADE in the models",
    ),
    "foreign-key-deferrable": (
        "alter table core.reminder alter constraint reminder_invoice_id_fkey not deferrable",
        "DEFERRABLE INITIALLY DEFERRED in the models",
    ),
    "foreign-key-not-valid": (
        """alter table core.invoice drop constraint invoice_customer_id_fkey,
        add foreign key (customer_id) references core.customer on delete cascade not valid""",
        "ON DELETE CASCADE NOT VALID after the commands",
    ),
    "nulls-not-distinct": (
        """alter table core.invoice drop constraint one_number,
        add constraint one_number unique nulls not distinct (customer_id, number)""",
        "UNIQUE NULLS NOT DISTINCT (customer_id, number) after the commands",
    ),
    "unique-columns": (
        """alter table core.invoice drop constraint one_number,
        add constraint one_number unique (number, customer_id)""",
        "UNIQUE (customer_id, number) in the models, UNIQUE (number, customer_id) after the commands",
    ),
    "primary-key": (
        "alter table core.reminder drop constraint reminder_pkey, add primary key (invoice_id)",
        "constraint core.reminder.reminder_pkey: PRIMARY KEY (invoice_id, day) in the models",
    ),
    "table-comment": (
        "comment on table core.invoice is 'something else'",
        "table core.invoice: comment what customers owe in the models, something else after the commands",
    ),
    "column-comment": (
        "comment on column core.invoice.lines is null",
        "core.invoice.lines: comment as printed in the models, none after the commands",
    ),
    "unlogged": (
        "alter table core.reminder set unlogged",
        "table core.reminder: logged in the models, unlogged after the commands",
    ),
}
WARNINGS = {
    "table-unknown": (
        "create table core.stray (id int primary key, x text default 'a')",
        "the commands make the table core.stray, and the models do not know it",
    ),
    "column-unknown": (
        "alter table core.customer add column stray text",
        "the commands make the column core.customer.stray, and the models do not know it",
    ),
    "index-unknown": (
        "create index on core.customer (id, name)",
        "the commands make the index core.customer.customer_id_name_idx, and the models do not know it",
    ),
    "default-unknown": (
        "alter table core.customer alter name set default 'nobody'",
        "core.customer.name: default none in the models, 'nobody'::text after the commands",
    ),
    "comment-unknown": (
        "comment on column core.customer.name is 'theirs'",
        "core.customer.name: comment none in the models, theirs after the commands",
    ),
    "storage-options": (
        "alter table core.customer set (fillfactor = 70)",
        "table core.customer: storage options none in the models, fillfactor=70 after the commands",
    ),
}
NONE = {
    "nothing-changed": "select 1",
    "columns-in-another-order": """
        alter table core.customer add column other text; update core.customer set other = name;
        alter table core.customer drop column name; alter table core.customer rename other to name;
        alter table core.customer alter name set not null, add unique (name)""",
    "names-of-the-server": """
        alter table core.invoice rename constraint invoice_state_check to invoice_check7;
        alter sequence core.customer_id_seq rename to client_id_seq;
        alter table core.customer rename constraint customer_pkey to client_pkey""",
    "what-models-cannot-say": """
        create function core.one() returns int language sql as 'select 1';
        create view core.open_invoice as select * from core.invoice where state = 'open';
        create function core.noop() returns trigger language plpgsql as 'begin return new; end';
        create trigger noop before insert on core.invoice for each row execute function core.noop();
        alter table core.invoice enable row level security;
        create policy everybody on core.invoice using (true);
        create statistics core.both on number, net from core.invoice""",
    "privileges": "grant select on core.invoice to public",
    "other-schemas": "create schema legacy; create table legacy.old (id int)",
    "not-null-by-another-way": """
        alter table core.customer alter name drop not null;
        alter table core.customer add constraint name_there check (name is not null) not valid;
        alter table core.customer validate constraint name_there;
        alter table core.customer alter name set not null;
        alter table core.customer drop constraint name_there""",
    "text-that-was-varchar": """
        alter table core.customer drop column name;
        alter table core.customer add column name varchar(10) not null unique;
        alter table core.customer alter name type text""",
}


@pytest.fixture
def equal_project(project: Project) -> Project:
    """A project whose first command makes just what the models ask for."""
    project.configure(metadata=[MODELS])
    project.fast("1.0.0", 1, "CreateAll", CREATE_ALL)
    return project


def _drift(project: Project, sql: str) -> list[tuple[Severity, str]]:
    # Each statement by itself, but not those of a function's body.
    statements = re.split(r";(?=\s*(?:alter|comment|create|drop|update)\b)", sql)
    project.fast("1.0.0", 2, "Change", f"for one in {statements!r}:\n    connection.execute(text(one))")
    with checking(project) as check:
        result = check.drift()
    assert result.left_out == ()
    assert {finding.rule for finding in result.findings} <= {"schema-drift"}
    return [(finding.severity, finding.message) for finding in result.findings]


@pytest.mark.parametrize(("sql", "words"), ERRORS.values(), ids=ERRORS)
def test_it_is_found(equal_project: Project, sql: str, words: str) -> None:
    """What the models ask for and the commands have not made, or made otherwise, is an error."""
    found = _drift(equal_project, sql)
    assert any(words in message and severity is Severity.ERROR for severity, message in found), found
    assert len(found) == 1


@pytest.mark.parametrize(("sql", "words"), WARNINGS.values(), ids=WARNINGS)
def test_what_models_do_not_know_is_a_warning(equal_project: Project, sql: str, words: str) -> None:
    """What the commands make beyond the models is told as a warning, once."""
    assert _drift(equal_project, sql) == [(Severity.WARNING, words)]


@pytest.mark.parametrize("sql", NONE.values(), ids=NONE)
def test_what_is_no_drift(equal_project: Project, sql: str) -> None:
    """Order of columns, names of the server, what metadata cannot describe: nothing is told."""
    assert _drift(equal_project, sql) == []
