"""What to do about a remark of squawk, in terms of the product where squawk cannot know them."""

from __future__ import annotations

_OURS = {
    "require-concurrent-index-creation": "call create_index_concurrently() in a command of its own with"
    " transactional=False",
    "require-concurrent-index-deletion": "call drop_index_concurrently() in a command of its own with"
    " transactional=False",
    "prefer-robust-stmts": "the command runs outside a transaction and may be tried again: write IF [NOT] EXISTS,"
    " or call create_index_concurrently()",
    "adding-not-nullable-field": "fill the column in run_data_migration() of a slow command, and call"
    " set_not_null(connection, table, column) in its up()",
    "adding-required-field": "add the column without NOT NULL in a fast command, or with a constant default; fill"
    " it in a slow one",
    "constraint-missing-not-valid": "add the constraint NOT VALID in one command, and VALIDATE CONSTRAINT in a"
    " later one",
    "adding-foreign-key-constraint": "add the foreign key NOT VALID in one command, and VALIDATE CONSTRAINT in a"
    " later one",
    "disallowed-unique-constraint": "build the index with create_index_concurrently(unique=True) in a command of its"
    " own, then ADD CONSTRAINT … UNIQUE USING INDEX",
    "adding-serial-primary-key-field": "build the index with create_index_concurrently(unique=True) in a command of"
    " its own, then ADD CONSTRAINT … PRIMARY KEY USING INDEX",
    "changing-column-type": "add a column of the new type in a fast command, fill it in a slow one, and drop the old"
    " one in a later release",
    "ban-drop-column": "stop using it in one release and drop it in the next",
    "ban-drop-table": "stop using it in one release and drop it in the next",
    "renaming-column": "add a new column, write both, and drop the old one in a later release",
    "renaming-table": "make a view of the old name, and drop it in a later release",
    "ban-char-field": "use text",
}


def remedy_of(rule: str, help_text: str | None, *, special: str | None = None) -> str:
    """Say what to do: in our words, in squawk's, or how to say that it is meant.

    Args:
        special: what to do about this very statement.
    """
    advice = special or _OURS.get(rule) or help_text or f"see https://squawkhq.com/docs/{rule}"
    return f"{advice.rstrip('.')}; where it is meant: -- squawk-ignore {rule}"
