"""A table, and a COMMIT that has work to do."""

from sqlalchemy import Connection, text

from upgrader import instance_command

from .._effect import record_effect, record_reversal, settle_at_commit


@instance_command("1.1.0", 1000000000002)
class CreateLedger:
    """Create core.ledger, filled from the customers."""

    def up(self, connection: Connection) -> None:
        connection.execute(
            text("create table core.ledger (workspace_id text not null, what text, cents bigint)")
        )
        connection.execute(
            text(
                "insert into core.ledger"
                " select workspace_id, 'opening', sum(amount_cents) from core.customer group by workspace_id"
            )
        )
        settle_at_commit(connection, "CreateLedger")
        record_effect(connection, "CreateLedger")

    def down(self, connection: Connection) -> None:
        connection.execute(text("drop table core.ledger"))
        settle_at_commit(connection, "CreateLedger")
        record_reversal(connection, "CreateLedger")
