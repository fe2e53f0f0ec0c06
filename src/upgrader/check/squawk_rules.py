"""The rules of squawk by their own names, as of squawk 2.70.

A rule that only a newer squawk knows needs no entry here: its findings are told under the name that it has, and
the group `squawk` selects, ignores and weighs it. Rules about timeouts are left out: the runner sets those.
"""

from __future__ import annotations

from upgrader.check.rule import Need, Rule
from upgrader.model import Severity

_DESCRIPTIONS = {
    "adding-field-with-default": "No column is added with a default that rewrites the table.",
    "adding-foreign-key-constraint": "A foreign key is added NOT VALID and validated by itself.",
    "adding-not-nullable-field": "No column is made NOT NULL by a scan under a lock.",
    "adding-required-field": "No required column is added without a default.",
    "adding-serial-primary-key-field": "A primary key is added over an index that was built before.",
    "ban-alter-domain-with-add-constraint": "No constraint is added to a domain that tables use.",
    "ban-char-field": "Text is not padded: no char columns.",
    "ban-concurrent-index-creation-in-transaction": "CONCURRENTLY is not used inside a transaction.",
    "ban-create-domain-with-constraint": "No domain with a constraint is made.",
    "ban-drop-column": "No column is dropped that running code may still read.",
    "ban-drop-database": "No database is dropped.",
    "ban-drop-not-null": "No column loses its NOT NULL while running code relies on it.",
    "ban-drop-table": "No table is dropped that running code may still read.",
    "ban-truncate-cascade": "TRUNCATE empties no tables that are not named.",
    "ban-uncommitted-transaction": "No transaction is left open.",
    "changing-column-type": "No column changes its type by rewriting the table.",
    "constraint-missing-not-valid": "A constraint is added NOT VALID and validated by itself.",
    "disallowed-unique-constraint": "A unique constraint is added over an index that was built before.",
    "identifier-too-long": "No name is longer than PostgreSQL keeps.",
    "prefer-bigint-over-int": "Numbers that grow are bigint.",
    "prefer-bigint-over-smallint": "Numbers that grow are bigint.",
    "prefer-identity": "Keys are identity columns, not serial ones.",
    "prefer-robust-stmts": "What may run twice says IF EXISTS or IF NOT EXISTS.",
    "prefer-text-field": "Texts have no length in their type.",
    "prefer-timestamp-tz": "Times have a time zone.",
    "renaming-column": "No column is renamed that running code uses.",
    "renaming-table": "No table is renamed that running code uses.",
    "require-concurrent-index-creation": "An index of a table in use is built CONCURRENTLY.",
    "require-concurrent-index-deletion": "An index of a table in use is dropped CONCURRENTLY.",
    "require-concurrent-partition-detach": "A partition in use is detached CONCURRENTLY.",
    "require-concurrent-reindex": "An index of a table in use is rebuilt CONCURRENTLY.",
    "require-enum-value-ordering": "A new enum value says where it stands.",
    "transaction-nesting": "No statement begins or ends a transaction of its own.",
}

# What they hold, their names say.
_OTHERS = (
    "ban-add-column",
    "ban-add-composite-attribute",
    "ban-add-enum-value",
    "ban-alter-database-options",
    "ban-alter-extension",
    "ban-alter-function-options",
    "ban-alter-generated-expression",
    "ban-alter-identity",
    "ban-alter-policy-condition",
    "ban-alter-policy-roles",
    "ban-alter-role-options",
    "ban-alter-row-level-security",
    "ban-alter-sequence-values",
    "ban-alter-system-options",
    "ban-alter-view-options",
    "ban-create-policy",
    "ban-detach-inheritance",
    "ban-disable-trigger",
    "ban-drop-constraint",
    "ban-drop-domain",
    "ban-drop-extension",
    "ban-drop-function",
    "ban-drop-generated-expression",
    "ban-drop-index",
    "ban-drop-policy",
    "ban-drop-schema",
    "ban-drop-sequence",
    "ban-drop-type",
    "ban-drop-view",
    "ban-new-write-restriction",
    "ban-replace-view-function",
    "ban-replica-identity",
    "ban-revoke",
    "ban-set-default",
    "ban-set-schema",
    "prefer-repack",
    "renaming-object",
    "require-table-schema",
)


def _sentence(name: str) -> str:
    return f"{name.replace('-', ' ').capitalize()}."


SQUAWK_RULES = (
    *(
        Rule(name, Severity.WARNING, description, Need.SQUAWK, is_squawks=True)
        for name, description in sorted(
            [*_DESCRIPTIONS.items(), *((name, _sentence(name)) for name in _OTHERS)]
        )
    ),
    Rule("syntax-error", Severity.INFO, "squawk can read the statement.", Need.SQUAWK, is_squawks=True),
)
