"""A column gets a better name, in between: the old rows."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._shared import update_in_batches

_FILL = """
    UPDATE core.invoice SET amount_minor = amount_cents
    WHERE id IN (
        SELECT id FROM core.invoice
        WHERE id > :after AND amount_minor IS NULL
        ORDER BY id LIMIT :batch_rows
    )
    RETURNING id
"""

# As in 1.21.0: the looking is done in the data migration, so that SET NOT NULL need not look.
_DROP_CHECK = text("""
    -- squawk-ignore ban-drop-constraint
    ALTER TABLE core.invoice DROP CONSTRAINT IF EXISTS invoice_amount_minor_present
""")
_ADD_CHECK = text("""
    ALTER TABLE core.invoice ADD CONSTRAINT invoice_amount_minor_present
    CHECK (amount_minor IS NOT NULL) NOT VALID
""")
_VALIDATE_CHECK = text("""
    ALTER TABLE core.invoice VALIDATE CONSTRAINT invoice_amount_minor_present
""")


@instance_command("1.22.0", 1778162011874, type="slow")
class BackfillInvoiceAmountMinor:
    """Copy amount_cents to amount_minor in the rows from before the trigger, and require it from then on.

    The trigger came first, in the fast command of this version, so a row written while this runs has both
    values already and no row can slip through behind the walk.
    """

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        if not update_in_batches(ctx, _FILL):
            return
        with ctx.transaction() as connection:
            connection.execute(_DROP_CHECK)
            connection.execute(_ADD_CHECK)
        with ctx.transaction() as connection:
            connection.execute(_VALIDATE_CHECK)

    def up(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ALTER COLUMN amount_minor SET NOT NULL"))
        connection.execute(_DROP_CHECK)

    def down(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ALTER COLUMN amount_minor DROP NOT NULL"))
