"""A database on which many workspaces have a long history, loaded in sets: the triggers would go row by row."""

from __future__ import annotations

from tests.support.project import Project

FAILING_WORKSPACES = 50
FAILING_STEPS = 10
_COLUMNS = (
    "name, kind, version, workspace_id, status, attempt, is_initial, executed_by_version, checksum,"
    " error_message, finished_at"
)


def load_history(project: Project, workspaces: int, *, version: str) -> None:
    """Write workspaces and what runs would have left behind that completed every workspace step on them.

    The history is there already, made by an upgrade without workspaces. Every 50th workspace failed once at
    every 10th step before it came through.

    Args:
        version: of the application.
    """
    steps = [step for step in project.api().registry.sequence.steps if step.is_workspace]
    with project.connect() as connection:
        indexes = connection.execute(
            "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
            " where indrelid = 'upgrader.history'::regclass and not indisprimary"
        ).fetchall()
        triggers = connection.execute(
            "select quote_ident(tgname) from pg_trigger where tgrelid = 'upgrader.history'::regclass"
            " and not tgisinternal"
        ).fetchall()
        connection.execute("set synchronous_commit = off")
        connection.execute("set maintenance_work_mem = '512MB'")
        connection.execute("alter table upgrader.history disable trigger user")
        # Step by step they would be written all over the place; built at the end they are as a dump restores them.
        for name, _ in indexes:
            connection.execute(f"drop index {name}".encode())
        connection.execute(
            "insert into core.workspace select n, 'Workspace ' || n, 'ACTIVE', null"
            f" from generate_series(1, {workspaces}) n".encode()
        )
        connection.execute(
            f"insert into upgrader.history ({_COLUMNS}) select 'start_enrolment', 'workspace', 'start',"
            " id::text, 'completed', 1, true, %s, '', null, now() from core.workspace order by id".encode(),
            [version],
        )
        for number, step in enumerate(steps):
            told = [step.name, step.kind.value, step.version.text]
            fails = number % FAILING_STEPS == 0
            if fails:
                connection.execute(
                    f"insert into upgrader.history ({_COLUMNS}) select %s, %s, %s, id::text, 'failed', 1, false,"
                    " %s, %s, 'UndefinedTable: there was no table then' || repeat(' at all', 20), now()"
                    f" from core.workspace where id %% {FAILING_WORKSPACES} = 0 order by id".encode(),
                    [*told, version, step.checksum],
                )
            again = f"1 + (id %% {FAILING_WORKSPACES} = 0)::integer" if fails else "1"
            connection.execute(
                f"insert into upgrader.history ({_COLUMNS}) select %s, %s, %s, id::text, 'completed', {again},"
                " false, %s, %s, null, now() from core.workspace order by id".encode(),
                [*told, version, step.checksum],
            )
        for _, definition in indexes:
            connection.execute(definition.encode())
        for (name,) in triggers:
            connection.execute(f"alter table upgrader.history enable always trigger {name}".encode())
        # What rebuild_scope() would write of each: all have completed the same steps.
        connection.execute(
            "insert into upgrader.scope (workspace_id, enrolled, completed, completed_digest)"
            " select id::text, 'start', %s, (select coalesce(bit_xor(upgrader.digest(name)), 0)"
            " from unnest(%s::text[]) name) from core.workspace order by id",
            [len(steps), [step.name for step in steps]],
        )
        connection.execute("vacuum (analyze)")
