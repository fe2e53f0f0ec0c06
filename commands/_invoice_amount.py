"""The trigger that carries `core.invoice` through the renaming of `amount_cents` to `amount_minor`.

1.22.0 makes it and 1.23.0 drops it; on the way down it is the other way round. Hence one text for both.
"""

from sqlalchemy import Connection, text

_FUNCTION = text("""
    CREATE FUNCTION core.sync_invoice_amount() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.amount_minor IS DISTINCT FROM OLD.amount_minor THEN
            NEW.amount_cents := NEW.amount_minor;
        ELSIF TG_OP = 'UPDATE' THEN
            NEW.amount_minor := NEW.amount_cents;
        ELSE
            NEW.amount_minor := coalesce(NEW.amount_minor, NEW.amount_cents);
            NEW.amount_cents := NEW.amount_minor;
        END IF;
        RETURN NEW;
    END $$
""")

_TRIGGER = text("""
    CREATE TRIGGER sync_invoice_amount BEFORE INSERT OR UPDATE ON core.invoice
    FOR EACH ROW EXECUTE FUNCTION core.sync_invoice_amount()
""")


def create_amount_trigger(connection: Connection) -> None:
    """Keep both columns equal, whichever of them is written."""
    connection.execute(_FUNCTION)
    connection.execute(_TRIGGER)


def drop_amount_trigger(connection: Connection) -> None:
    """Let the columns go their own ways."""
    connection.execute(text("DROP TRIGGER sync_invoice_amount ON core.invoice"))
    # Only the trigger called it.
    connection.execute(text("-- squawk-ignore ban-drop-function\nDROP FUNCTION core.sync_invoice_amount()"))
