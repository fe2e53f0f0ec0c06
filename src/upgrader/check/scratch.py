"""A place to build databases and throw them away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from upgrader.check.leftover_databases import Held, drop_leftovers
from upgrader.database.connect import Connector, identifier
from upgrader.database.conninfo import describe_database, join_conninfo, parse_conninfo
from upgrader.database.embedded.notice import Notify, unheard
from upgrader.errors import DatabaseUnavailableError, OperatorError
from upgrader.settings import Settings
from upgrader.settings.database_url import EMBEDDED_PREFIX

_EMBEDDED_DATABASE = "postgres"
_SHOWN = 5

# What is nobody's but the user's own: not PostgreSQL's, not an extension's; `public` is always there.
_USER_OBJECTS = """
select format('the schema %I', n.nspname) from pg_namespace n
where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public')
    and not exists (select from pg_depend e where e.classid = 'pg_namespace'::regclass
        and e.objid = n.oid and e.deptype = 'e')
union all
select format('%s %s', case c.relkind when 'v' then 'the view' when 'S' then 'the sequence' else 'the table' end,
    c.oid::regclass)
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass
        and e.objid = c.oid and e.deptype = 'e')
union all
select format('the function %s', p.oid::regprocedure) from pg_proc p
where p.pronamespace = 'public'::regnamespace
    and not exists (select from pg_depend e where e.classid = 'pg_proc'::regclass
        and e.objid = p.oid and e.deptype in ('e', 'i'))
union all
select format('the type %s', t.oid::regtype) from pg_type t
where t.typnamespace = 'public'::regnamespace and t.typtype in ('e', 'd', 'r')
    and not exists (select from pg_depend e where e.classid = 'pg_type'::regclass
        and e.objid = t.oid and e.deptype = 'e')
order by 1
"""


@dataclass
class Scratch:
    """A server, and a database on it that new ones are copies of.

    Attributes:
        url: of the database that is copied; nothing is ever written to it.
        description: the place for people, without a password.
        is_embedded: whether it is a server of its own in a temporary folder.
        server_version: as libpq gives it, 180004 for 18.4.
    """

    url: str
    description: str
    is_embedded: bool
    server_version: int
    _made: list[str] = field(default_factory=list)
    _held: Held = field(default_factory=Held)

    def make_database(self, *, template: str | None = None) -> str:
        """Make a database that is dropped at the end, and give its URL.

        Args:
            template: the URL of one that was made here, to be copied; nobody may be connected to it.

        Raises:
            OperatorError: the role may not make databases, or somebody uses the one that is copied.
        """
        parameters = parse_conninfo(self.url)
        self._hold()
        name = self._held.next_name()
        source = parse_conninfo(template)["dbname"] if template else self._own_name()
        self._made.append(name)  # before it is there: an interruption may come in between
        with Connector(self.url).connect() as driver:
            try:
                driver.execute(f"create database {identifier(name)} template {identifier(source)}".encode())
            except psycopg.Error as error:
                raise _not_made(error, source=source, user=driver.info.user) from error
        return join_conninfo({**parameters, "dbname": name})

    def _hold(self) -> None:
        """Show to other checks that this one lives; nobody else comes to a server of its own."""
        if not self.is_embedded and not self._held.is_held:
            self._made.append(self._held.database)
            try:
                self._held.hold(self.url)
            except psycopg.Error as error:
                user = parse_conninfo(self.url).get("user", "")
                raise _not_made(error, source="template0", user=user) from error

    def drop_databases(self, *, notify: Notify = unheard) -> None:
        """Drop all databases that were made, whoever is still connected; harmless twice.

        Raises nothing of its own: a database that cannot be dropped is told to `notify`.
        """
        while self._made:
            name = self._made.pop()
            statement = f"drop database if exists {identifier(name)} with (force)"
            try:
                with Connector(self.url).connect() as driver:
                    driver.execute(statement.encode())
            except (psycopg.Error, DatabaseUnavailableError) as error:
                notify(
                    f"the scratch database {name} is still on the server ({' '.join(str(error).split())});"
                    f" drop it by hand: DROP DATABASE {identifier(name)} WITH (FORCE);"
                )
        self._held.release()

    def _own_name(self) -> str:
        with Connector(self.url).connect() as driver:
            return driver.info.dbname


@contextmanager
def open_scratch(
    settings: Settings, *, url: str | None = None, notify: Notify = unheard
) -> Iterator[Scratch]:
    """Open a scratch place; all that was made in it is gone at the end, whatever ends it.

    Args:
        settings: whose database must not be the scratch one.
        url: an empty database of one's own, with its extensions; None starts an embedded server in a temporary
            folder.
        notify: told of what is done to the machine for the embedded server.

    Raises:
        OperatorError: the database is not empty, or is the configured one; the role may not make databases.
        EmbeddedServerError: the embedded server cannot be started.
        DatabaseUnavailableError: the server cannot be reached.
    """
    if url is None:
        with _embedded(notify) as scratch:
            yield scratch
        return
    scratch = _given(settings, url, notify=notify)
    try:
        yield scratch
    finally:
        scratch.drop_databases(notify=notify)


@contextmanager
def _embedded(notify: Notify) -> Iterator[Scratch]:
    from upgrader.database.embedded import embedded_server

    # Below the common temporary folder, and passable: the OS user that runs the server for root gets to it.
    folder = Path(tempfile.mkdtemp(prefix="upgrader-check-"))
    folder.chmod(0o711)
    try:
        with embedded_server(folder / "pgdata", notify=notify) as uri:
            with Connector(uri).connect() as driver:
                driver.execute("alter system set fsync = off")  # nothing in it outlives the program
                driver.execute("select pg_reload_conf()")
                version = driver.info.server_version
            yield Scratch(uri, "an embedded server of its own", is_embedded=True, server_version=version)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _given(settings: Settings, url: str, *, notify: Notify) -> Scratch:
    if url.startswith(EMBEDDED_PREFIX):
        raise OperatorError(
            "the scratch database may not be an embedded one by its path",
            hint="give --embedded instead: it makes a server of its own and throws it away",
        )
    parameters = parse_conninfo(url)
    configured = settings.database_url
    if (
        configured
        and not configured.startswith(EMBEDDED_PREFIX)
        and _is_same(parameters, parse_conninfo(configured))
    ):
        raise _is_configured()
    connector = Connector(url, connect_timeout_seconds=settings.connect_timeout_seconds)
    with connector.connect() as driver:
        _refuse_unusable(driver, describe_database(parameters))
        drop_leftovers(driver, notify=notify)
        return Scratch(
            url, connector.description, is_embedded=False, server_version=driver.info.server_version
        )


def _is_same(one: dict[str, str], other: dict[str, str]) -> bool:
    keys = ("host", "hostaddr", "port", "dbname")
    return all(one.get(key) == other.get(key) for key in keys)


def _is_configured() -> OperatorError:
    return OperatorError(
        "the scratch database is the configured one",
        hint="give an empty database of its own: CREATE DATABASE scratch; with the extensions that you need",
    )


def _refuse_unusable(driver: psycopg.Connection, description: str) -> None:
    found = [str(name) for (name,) in driver.execute(_USER_OBJECTS.encode()).fetchall()]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise OperatorError(
            f"the scratch database {description} is not empty: there is {', '.join(found[:_SHOWN])}{more}",
            hint="give an empty one: CREATE DATABASE scratch; only extensions may be in it",
        )
    row = driver.execute(
        "select rolcreatedb or rolsuper from pg_roles where rolname = current_user"
    ).fetchone()
    if row is None or not row[0]:
        user = identifier(driver.info.user)
        raise OperatorError(
            f"the role {user} may not make databases: copies of the scratch database are what is worked in",
            hint=f"let a superuser run: ALTER ROLE {user} CREATEDB; or give --embedded instead",
        )


def _not_made(error: psycopg.Error, *, source: str, user: str) -> OperatorError:
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.ObjectInUse):
        hint = "end the other sessions of that database, then run the same command again"
    elif isinstance(error, psycopg.errors.InsufficientPrivilege):
        owner = f"ALTER DATABASE {identifier(source)} OWNER TO {identifier(user)};"
        hint = f"let a superuser run: ALTER ROLE {identifier(user)} CREATEDB; {owner}"
    else:
        hint = "mend what the server says, or give --embedded instead"
    return OperatorError(f"no copy of the scratch database {source} can be made: {text}", hint=hint)
