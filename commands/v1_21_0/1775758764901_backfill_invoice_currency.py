"""Old rows get their value, then the column becomes NOT NULL."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._shared import update_in_batches

# XXX is the code of ISO 4217 for "no currency". Without it a country that has none would leave its rows NULL.
_FILL = """
    UPDATE core.invoice AS invoice
    SET currency_code = coalesce(country.currency_code, 'XXX')
    FROM core.workspace AS workspace
    JOIN core.country AS country ON country.iso = workspace.country_iso
    WHERE workspace.id = invoice.workspace_id
      AND invoice.id IN (
          SELECT id FROM core.invoice
          WHERE id > :after AND currency_code IS NULL
          ORDER BY id LIMIT :batch_rows
      )
    RETURNING invoice.id
"""

# The constraint is this command's own: NOT NULL takes its place.
_DROP_CHECK = text("""
    -- squawk-ignore ban-drop-constraint
    ALTER TABLE core.invoice DROP CONSTRAINT IF EXISTS invoice_currency_code_present
""")
_ADD_CHECK = text("""
    ALTER TABLE core.invoice ADD CONSTRAINT invoice_currency_code_present
    CHECK (currency_code IS NOT NULL) NOT VALID
""")
# In a transaction of its own, after the one that added it.
_VALIDATE_CHECK = text("""
    ALTER TABLE core.invoice VALIDATE CONSTRAINT invoice_currency_code_present
""")


@instance_command("1.21.0", 1775758764901, type="slow")
class BackfillInvoiceCurrency:
    """Fill core.invoice.currency_code with the currency of the workspace's country, and require it.

    A slow command has two parts. `run_data_migration` runs first, in as many transactions as it likes, and
    may be cut off between any two of them and begun again: it looks only at rows that have no value yet, and
    it drops the constraint before it adds it.

    `up` must be short, for SET NOT NULL shuts everyone out of the table while it looks for a NULL. It need
    not look where a valid CHECK already says that there is none, and a CHECK is validated without shutting
    anyone out. So the looking is done in the first part, and `up` is a change of the catalogue.
    """

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        if not update_in_batches(ctx, _FILL):
            return  # the operator asked to stop; the next run goes on from here
        with ctx.transaction() as connection:
            connection.execute(_DROP_CHECK)
            connection.execute(_ADD_CHECK)
        with ctx.transaction() as connection:
            connection.execute(_VALIDATE_CHECK)

    def up(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ALTER COLUMN currency_code SET NOT NULL"))
        connection.execute(_DROP_CHECK)

    def down(self, connection: Connection) -> None:
        connection.execute(text("ALTER TABLE core.invoice ALTER COLUMN currency_code DROP NOT NULL"))
