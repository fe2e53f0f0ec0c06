"""What the commands have in common."""

from sqlalchemy import Connection, text

INSTANCE = "instance"


def record_effect(connection: Connection, step: str, scope: str = INSTANCE) -> None:
    """Count one effect of a step; more than one in a scope would mean that it ran twice."""
    connection.execute(
        text("insert into core.effect (step, scope) values (:step, :scope)"), {"step": step, "scope": scope}
    )


def take_time(connection: Connection) -> None:
    """Let a batch take the time that the test wants."""
    connection.execute(text("select core.take_time('batch')"))
