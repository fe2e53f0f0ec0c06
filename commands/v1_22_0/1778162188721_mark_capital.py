"""Data of the instance decides about data of a workspace."""

from sqlalchemy import Connection, text

from upgrader import WorkspaceContext, workspace_command

from .._shared import expect_one_row
from ._names import folded

_CAPITAL = text("""
    SELECT country.capital FROM core.workspace AS workspace
    JOIN core.country AS country ON country.iso = workspace.country_iso
    WHERE workspace.id = CAST(:workspace_id AS uuid)
""")
_CITIES = text("SELECT id, name FROM city ORDER BY population DESC, id")
_MARK = text("UPDATE city SET is_capital = true WHERE id = :city_id")
_RECORD = text("""
    UPDATE core.workspace_statistics SET capital_city_id = :city_id
    WHERE workspace_id = CAST(:workspace_id AS uuid)
""")


@workspace_command("1.22.0", 1778162188721, name="mark-capital")
class MarkCapital:
    """Mark the country's capital in city, and note it in core.workspace_statistics.

    A step in SQL alone is best where SQL can say it. Here names must be compared without their accents, which
    plain SQL does badly, and a workspace has a few thousand cities at most: they may be read. Of several
    cities of that name the largest is taken. Where there is none (`St. John's` is `Saint John's` to others),
    the statistics stay without a capital, and the log says so.

    Reading and writing are one transaction, together with the history row.
    """

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        parameters = {"workspace_id": ctx.workspace.id}
        capital = ctx.connection.scalar(_CAPITAL, parameters)
        city_id = _find_city(ctx.connection, capital) if capital else None
        if city_id is None:
            ctx.log.info("no capital found in %s", ctx.workspace.label)
        else:
            expect_one_row(ctx.connection.execute(_MARK, {"city_id": city_id}))
        expect_one_row(ctx.connection.execute(_RECORD, {**parameters, "city_id": city_id}))

    def down_on_workspace(self, ctx: WorkspaceContext) -> None:
        ctx.connection.execute(text("UPDATE city SET is_capital = false WHERE is_capital"))
        ctx.connection.execute(_RECORD, {"workspace_id": ctx.workspace.id, "city_id": None})


def _find_city(connection: Connection, capital: str) -> int | None:
    wanted = folded(capital)
    return next((row.id for row in connection.execute(_CITIES) if folded(row.name) == wanted), None)
