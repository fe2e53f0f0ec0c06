"""What the commands have in common: they write down that their effect was committed."""

from sqlalchemy import Connection, text

INSTANCE = "instance"


def record_effect(connection: Connection, step: str, scope: str = INSTANCE) -> None:
    """Count one effect of a step; more than one in a scope would mean that it ran twice.

    After the step was taken back it has another name: `AddCurrency again 1`.
    """
    connection.execute(
        text(
            "insert into core.effect (step, scope) select"
            " :step || case count(*) when 0 then '' else ' again ' || count(*) end, :scope"
            " from core.effect where scope = :scope and starts_with(step, :step || ' back')"
        ),
        {"step": step, "scope": scope},
    )


def record_reversal(connection: Connection, step: str, scope: str = INSTANCE) -> None:
    """Count that a step was taken back: `AddCurrency back 1` after its first effect, and so on."""
    connection.execute(
        text(
            "insert into core.effect (step, scope) select :step || ' back ' || count(*), :scope"
            " from core.effect where scope = :scope and (step = :step or starts_with(step, :step || ' again'))"
        ),
        {"step": step, "scope": scope},
    )


def settle_at_commit(connection: Connection, step: str, scope: str = INSTANCE) -> None:
    """Make COMMIT do some work: a deferred constraint trigger, which may be slow."""
    connection.execute(
        text("insert into core.receipt (step, scope) values (:step, :scope)"), {"step": step, "scope": scope}
    )


def take_time(connection: Connection) -> None:
    """Let a batch of a data migration take the time that the test wants."""
    connection.execute(text("select core.take_time('batch')"))
