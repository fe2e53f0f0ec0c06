"""Where workspaces come from: a table, or a function of the application."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, cast

import psycopg

from upgrader.database.connect import identifier, literal
from upgrader.database.session import CommandSession
from upgrader.database.streaming import rows_of
from upgrader.errors import SettingsError, WorkspaceSourceError
from upgrader.model import Workspace

_LOCK_TIMEOUT = b"set local lock_timeout = '2s'"


@dataclass(frozen=True, eq=False)
class WorkspaceListing:
    """The workspaces at one moment.

    Attributes:
        exists: False where there is no table (and none was asked for by name): there are no workspaces then.
        in_scope: those with a configured status, in the order in which they are run.
        out_of_scope: the others, in the same order.
    """

    exists: bool
    in_scope: Sequence[Workspace] = ()
    out_of_scope: Sequence[Workspace] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen of a workspace right before its first step.

    `workspace` is None where it is gone or out of scope.
    """

    workspace: Workspace | None
    is_schema_usable: bool


class WorkspaceSource(Protocol):
    """Lists workspaces, and looks at one again."""

    @property
    def description(self) -> str:
        """Name it for people: `table core.workspace`."""

    @property
    def statuses(self) -> Sequence[str]:
        """The statuses that are in scope."""

    def of_any_status(self) -> WorkspaceSource:
        """Give the same source with every status in scope."""

    def listing(self, session: CommandSession) -> WorkspaceListing:
        """List all workspaces.

        Raises:
            WorkspaceSourceError: a table or column that was asked for is not there, or the provider fails.
        """

    def probe(self, workspace: Workspace, also: str = "") -> str:
        """Give a SELECT that looks at one workspace again; it travels with BEGIN.

        The workspace's schema is the first one in the search path by then.

        Args:
            also: an expression that becomes its last column; evaluated where the workspace is there.
        """

    def read_probe(self, workspace: Workspace, row: tuple[object, ...] | None) -> Probe:
        """Read the row that the probe gave."""


@dataclass(frozen=True)
class TableSource:
    """Workspaces are the rows of a table.

    Attributes:
        table: schema and name, or the name alone.
        is_explicit: whether the table was asked for; the default one may be missing.
        takes_any_status: every status is in scope.
    """

    table: tuple[str, ...] = ("core", "workspace")
    id_column: str = "id"
    status_column: str = "activation_status"
    statuses: tuple[str, ...] = ("ACTIVE", "SUSPENDED")
    schema_column: str = "database_schema"
    name_column: str = "display_name"
    is_explicit: bool = False
    takes_any_status: bool = False

    @property
    def description(self) -> str:
        """Name the table."""
        return f"table {'.'.join(self.table)}"

    def of_any_status(self) -> TableSource:
        """Give the same source with every status in scope."""
        return replace(self, takes_any_status=True)

    def listing(self, session: CommandSession) -> WorkspaceListing:
        """Read the table in ascending order of the id column's own type (text as bytes)."""
        try:
            return self._listing(session)
        except psycopg.errors.InsufficientPrivilege as error:
            user, schema = identifier(session.driver.info.user), self.table[:-1]
            use = f"GRANT USAGE ON SCHEMA {identifier(*schema)} TO {user}; " if schema else ""
            raise WorkspaceSourceError(
                f"the {self.description} cannot be read: {error.diag.message_primary}",
                hint=f"let its owner run: {use}GRANT SELECT ON {identifier(*self.table)} TO {user};",
            ) from error

    def _listing(self, session: CommandSession) -> WorkspaceListing:
        types = self._column_types(session.driver)
        if types is None:
            return WorkspaceListing(exists=False)
        collation = ' collate "C"' if types[self.id_column] == "S" else ""
        # By the column, not by the text that it is selected as: `id` alone would mean the output column.
        order = f"listed.{self._quoted(self.id_column)}{collation}"
        query = f"select {self._row} from {identifier(*self.table)} listed order by {order}"
        wanted, takes_all = frozenset(self.statuses), self.takes_any_status or not self.status_column
        inside, outside = list[Workspace](), list[Workspace]()
        with session.driver.transaction(), session.driver.cursor(name="upgrader_workspaces") as cursor:
            # Whoever holds the table may be waiting for the run: it does not wait for them without an end.
            session.driver.execute(_LOCK_TIMEOUT)
            cursor.execute(query.encode())
            for row in rows_of(cursor):
                workspace = _workspace(row)
                if not workspace.id:
                    raise _without_id(self.description)
                is_inside = takes_all or workspace.status in wanted
                (inside if is_inside else outside).append(workspace)
        return WorkspaceListing(True, inside, outside)

    def probe(self, workspace: Workspace, also: str = "") -> str:
        """Read the row again, and whether its schema is there."""
        columns, place = self._probe
        return f"{columns}{f', {also}' if also else ''}{place}{literal(workspace.id)}"

    @cached_property
    def _probe(self) -> tuple[str, str]:
        schema = self._quoted(self.schema_column) + "::text" if self.schema_column else "null"
        columns = f"select {self._row}, {_usable(schema)}"
        return columns, f" from {identifier(*self.table)} where {self._quoted(self.id_column)} = "

    def read_probe(self, workspace: Workspace, row: tuple[object, ...] | None) -> Probe:
        """Tell whether the workspace is still there and in scope."""
        if row is None:
            return Probe(None, is_schema_usable=False)
        is_as_listed = row[:4] == (workspace.id, workspace.schema, workspace.display_name, workspace.status)
        found = workspace if is_as_listed else _workspace(row)
        if not self._is_in_scope(found):
            return Probe(None, is_schema_usable=False)
        return Probe(found, is_schema_usable=found.schema is None or row[4] == "true")

    def _is_in_scope(self, workspace: Workspace) -> bool:
        if self.takes_any_status or not self.status_column:
            return True
        return workspace.status in self.statuses

    @property
    def _row(self) -> str:
        columns = (self.id_column, self.schema_column, self.name_column, self.status_column)
        return ", ".join(f"{self._quoted(column)}::text" if column else "null::text" for column in columns)

    @staticmethod
    def _quoted(column: str) -> str:
        return identifier(column)

    def _column_types(self, driver: psycopg.Connection) -> dict[str, str] | None:
        rows = driver.execute(
            "select a.attname, t.typcategory::text from pg_attribute a join pg_type t on t.oid = a.atttypid"
            " where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped",
            [identifier(*self.table)],
        ).fetchall()
        if not rows:
            if self.is_explicit:
                raise WorkspaceSourceError(
                    f"there is no {self.description} (or this role may not see its schema)",
                    hint='correct "table" in [tool.upgrader.workspaces] (UPGRADER_WORKSPACES__TABLE)',
                )
            return None
        types = {str(name): str(category) for name, category in rows}
        self._check_columns(types)
        return types

    def _check_columns(self, types: dict[str, str]) -> None:
        settings = {
            "id_column": self.id_column,
            "status_column": self.status_column,
            "schema_column": self.schema_column,
            "name_column": self.name_column,
        }
        missing = {key: column for key, column in settings.items() if column and column not in types}
        if missing:
            told = ", ".join(f'{column!r} ("{key}")' for key, column in missing.items())
            raise WorkspaceSourceError(
                f"the {self.description} has no column {told}; it has: {', '.join(types)}",
                hint='set the columns in [tool.upgrader.workspaces]; "" says that there is none',
            )


@dataclass(frozen=True)
class ProviderSource:
    """Workspaces are what a function of the application gives: `(connection) -> Iterable[Workspace]`.

    They are run in the order in which it gives them.
    """

    provider: str
    statuses: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Name the function."""
        return f"provider {self.provider}"

    def of_any_status(self) -> ProviderSource:
        """Give the same source with every status in scope."""
        return replace(self, statuses=())

    def listing(self, session: CommandSession) -> WorkspaceListing:
        """Ask the function, in a transaction that is rolled back."""
        function = self._function()
        transaction = session.begin(settings={})
        try:
            found = list(function(transaction.connection))
        except Exception as error:
            raise WorkspaceSourceError(
                f"the {self.description} failed: {type(error).__name__}: {error}",
                hint="mend the function; it is called with a SQLAlchemy connection",
            ) from error
        finally:
            transaction.rollback()
        return self._split(found)

    def probe(self, workspace: Workspace, also: str = "") -> str:
        """Look whether the schema is there."""
        return f"select {_usable(literal(workspace.schema))}{f', {also}' if also else ''}"

    def read_probe(self, workspace: Workspace, row: tuple[object, ...] | None) -> Probe:
        """Take the workspace as the provider gave it."""
        return Probe(workspace, is_schema_usable=workspace.schema is None or row == ("true",))

    def _split(self, found: list[Workspace]) -> WorkspaceListing:
        for workspace in found:
            if isinstance(workspace, Workspace) and not workspace.id:
                raise _without_id(self.description)
            if not isinstance(workspace, Workspace):
                raise WorkspaceSourceError(
                    f"the {self.description} gave a {type(workspace).__name__}, not a Workspace",
                    hint="give upgrader.Workspace(id=…, schema=…, display_name=…, status=…)",
                )
        twice = [key for key, count in Counter(workspace.id for workspace in found).items() if count > 1]
        if twice:
            raise WorkspaceSourceError(
                f"the {self.description} gave these ids more than once: {', '.join(twice[:10])}",
                hint="give each workspace once",
            )
        inside = [w for w in found if w.status is None or not self.statuses or w.status in self.statuses]
        names = {workspace.id for workspace in inside}
        return WorkspaceListing(True, inside, [w for w in found if w.id not in names])

    def _function(self) -> Callable[[object], Iterable[Workspace]]:
        module_name, _, attribute = self.provider.partition(":")
        try:
            function = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:
            raise SettingsError(
                f"the workspace provider {self.provider!r} cannot be imported: {type(error).__name__}: {error}",
                hint='write "package.module:function", importable from where the program runs',
            ) from error
        return cast("Callable[[object], Iterable[Workspace]]", function)


@dataclass(frozen=True)
class NoWorkspaces:
    """There are none, and nobody looks for any: the source of a database that is built to be thrown away."""

    description: str = "no workspaces"
    statuses: Sequence[str] = ()

    def listing(self, session: CommandSession) -> WorkspaceListing:
        """Give none."""
        del session
        return WorkspaceListing(exists=True)

    def probe(self, workspace: Workspace, also: str = "") -> str:
        """Look at nothing."""
        del workspace
        return f"select {also}"

    def of_any_status(self) -> WorkspaceSource:
        """Give itself."""
        return self

    def read_probe(self, workspace: Workspace, row: tuple[object, ...] | None) -> Probe:
        """Tell that it is gone."""
        del workspace, row
        return Probe(None, is_schema_usable=False)


def _usable(schema: str) -> str:
    """Give SQL for "true" where the first schema of the search path is there and the role may use it.

    SET search_path minds neither; what is not there, or not to be used, is not current. This costs a third of
    asking for the privilege by name.
    """
    return f"(current_schema() = {schema}::name)::text"


def _without_id(description: str) -> WorkspaceSourceError:
    return WorkspaceSourceError(
        f"the {description} has a workspace whose id is empty", hint="give it an id; history goes by it"
    )


def _workspace(row: Sequence[object]) -> Workspace:
    return Workspace(
        id=str(row[0]),
        schema=None if row[1] is None else str(row[1]),
        display_name=None if row[2] is None else str(row[2]),
        # A handful of statuses for up to 100,000 workspaces: one string each.
        status=None if row[3] is None else sys.intern(str(row[3])),
    )
