"""Old values are cleaned, then a constraint keeps them clean."""

from sqlalchemy import Connection, text

from upgrader import DataMigrationContext, instance_command

from .._shared import update_in_batches

_CLEAN = """
    UPDATE core.invoice SET status = lower(status)
    WHERE id IN (
        SELECT id FROM core.invoice
        WHERE id > :after AND status <> lower(status)
        ORDER BY id LIMIT :batch_rows
    )
    RETURNING id
"""

# The one that an earlier try of this command has left.
_DROP_CHECK = text("""
    -- squawk-ignore ban-drop-constraint
    ALTER TABLE core.invoice DROP CONSTRAINT IF EXISTS invoice_status_check
""")
_ADD_CHECK = text("""
    ALTER TABLE core.invoice ADD CONSTRAINT invoice_status_check
    CHECK (status IN ('open', 'paid')) NOT VALID
""")
# In the transaction of `up`, after the one of the data migration that added it.
_VALIDATE_CHECK = text("""
    ALTER TABLE core.invoice VALIDATE CONSTRAINT invoice_status_check
""")


@instance_command("1.23.0", 1780840331096, type="slow")
class CleanInvoiceStatus:
    """Write core.invoice.status in lower case throughout, and allow `open` and `paid` only.

    Three generations of code wrote `paid`, `Paid` and `PAID`. A walk alone does not end the matter, as new
    rows may be wrong again behind it. So once it is through, the constraint is added as NOT VALID, which
    binds what is written from then on and looks at no old row, and a second walk takes what slipped in
    meanwhile.

    Not the other way round: a NOT VALID constraint also binds an UPDATE of an old row, whatever column it is
    about, and the application would fail on every row that the walk has not reached.

    `up` is left with VALIDATE, which looks at all rows and lets everyone read and write meanwhile.

    `down` takes the constraint away and leaves the values: nobody needs the old spellings back.
    """

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        if not update_in_batches(ctx, _CLEAN):
            return  # the operator asked to stop; the next run goes on from here
        with ctx.transaction() as connection:
            connection.execute(_DROP_CHECK)
            connection.execute(_ADD_CHECK)
        update_in_batches(ctx, _CLEAN)

    def up(self, connection: Connection) -> None:
        connection.execute(_VALIDATE_CHECK)

    def down(self, connection: Connection) -> None:
        connection.execute(_DROP_CHECK)
