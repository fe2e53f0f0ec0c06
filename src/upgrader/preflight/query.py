"""The one query of the preflight: every fact as one JSON document, whatever the size of the database."""

from __future__ import annotations

from dataclasses import dataclass

from upgrader.database.connect import literal

SHOWN = 10  # of each kind of thing; the others are counted
_LONGEST_QUERY = 10_000  # cut for people after its secrets are out: half of one is not recognised

_OWN = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"

# Each is a scalar subquery. Those that cost anything, or that not every role may ask, stand in a CASE.
_SERVER = """
    'database', current_database(), 'user', current_user, 'version', current_setting('server_version'),
    'backend_pid', pg_backend_pid(),
    'is_standby', pg_is_in_recovery(),
    'standby_of', case when pg_is_in_recovery() then
        (select concat('host ', sender_host, ' port ', sender_port) from pg_stat_wal_receiver
          where sender_host is not null) end,
    'read_only_by', case when current_setting('transaction_read_only') = 'on' then
        (select source from pg_settings where name = 'default_transaction_read_only') end
"""

_PRIVILEGES = f"""
    'privileges', json_build_object(
        'owns_tables', exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p') and {_OWN} and pg_has_role(c.relowner, 'USAGE')),
        'table_exists', exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p') and {_OWN}),
        'history_exists', exists (select from pg_namespace where nspname = {{history}}),
        'may_create_history', coalesce(
            (select has_schema_privilege(oid, 'CREATE') and has_schema_privilege(oid, 'USAGE')
               from pg_namespace where nspname = {{history}}),
            has_database_privilege(current_database(), 'CREATE')),
        'hidden_sessions', (select count(*) from pg_stat_activity
            where datname = current_database() and backend_type is null))
"""

# What a policy lets through is known only where it is "true": then, and only then, it hides nothing.
_WORKSPACE_TABLE = """
    'workspace_table', (
        select json_build_object('name', t.oid::regclass::text, 'filters', case
            when not row_security_active(t.oid) then '[]'::json
            when p.lets_all and not p.restricts then '[]'::json
            else coalesce(p.names, '["no policy at all"]'::json) end)
        from (select c.oid from pg_class c where c.relname = {table}
                and c.relkind in ('r', 'p', 'v', 'm', 'f') and {where}) t
        cross join lateral (
            select json_agg(polname order by polname) as names,
                coalesce(bool_or(polpermissive and pg_get_expr(polqual, polrelid) = 'true'), false) as lets_all,
                coalesce(bool_or(not polpermissive and pg_get_expr(polqual, polrelid) <> 'true'), false)
                    as restricts
            from pg_policy where polrelid = t.oid and polcmd in ('*', 'r') and (0 = any(polroles)
                or exists (select from unnest(polroles) role where role <> 0 and pg_has_role(role, 'USAGE')))
        ) p limit 1)
"""

_SESSIONS = f"""
    'transactions', (select json_build_object('count', count(*), 'shown', json_agg(json_build_object(
            'pid', pid, 'user', usename, 'application_name', application_name, 'state', state,
            'query', left(query, {_LONGEST_QUERY}), 'seconds', seconds) order by seconds desc, pid)
            filter (where place <= {SHOWN}))
        from (select *, extract(epoch from clock_timestamp() - xact_start)::float8 as seconds,
                row_number() over (order by xact_start, pid) as place
            from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
              and backend_type = 'client backend'
              and xact_start < clock_timestamp() - make_interval(secs => {{long_seconds}})) a),
    'prepared', (select json_build_object('count', count(*), 'shown', json_agg(json_build_object(
            'gid', gid, 'owner', owner, 'seconds', seconds) order by seconds desc, gid)
            filter (where place <= {SHOWN}))
        from (select *, extract(epoch from clock_timestamp() - prepared)::float8 as seconds,
                row_number() over (order by prepared, gid) as place
            from pg_prepared_xacts where database = current_database()
              and prepared < clock_timestamp() - make_interval(secs => {{long_seconds}})) x),
    'vacuums', (select json_build_object('count', count(*), 'shown', json_agg(json_build_object(
            'pid', pid, 'seconds', extract(epoch from clock_timestamp() - xact_start)::float8,
            'query', left(query, {_LONGEST_QUERY})) order by pid))
        from pg_stat_activity where datname = current_database() and backend_type = 'autovacuum worker'
          and query like '%(to prevent wraparound)')
"""

# What the server itself counts (InitProcess, CountDBConnections, CountUserBackends): client backends, and none of
# the limits of role and database for a superuser. Who may not look into a session takes it for one of them. A
# setting that an older server does not have is null; so is a limit that is not set.
_CAPACITY = """
    'capacity', (select json_build_object(
            'server', current_setting('max_connections')::int - used.all
                - case when r.rolsuper then 0 else current_setting('superuser_reserved_connections')::int end
                - case when r.rolsuper or pg_has_role(r.oid, p.oid, 'USAGE') then 0
                    else coalesce(current_setting('reserved_connections', true)::int, 0) end,
            'database', case when not r.rolsuper and d.datconnlimit >= 0 then d.datconnlimit - used.database end,
            'role', case when not r.rolsuper and r.rolconnlimit >= 0 then r.rolconnlimit - used.role end)
        from pg_roles r
        join pg_database d on d.datname = current_database()
        left join pg_roles p on p.rolname = 'pg_use_reserved_connections'
        cross join lateral (select count(*) as all, count(*) filter (where datid = d.oid) as database,
                count(*) filter (where usesysid = r.oid) as role
            from pg_stat_activity where backend_type = 'client backend'
                or (backend_type is null and usesysid is not null)) used
        where r.rolname = session_user)
"""

# Where this role may not see another role's progress, the lock that a build holds on its table tells.
_OBJECTS = f"""
    'indexes', (select json_build_object('count', count(*), 'shown', json_agg(json_build_object(
            'index', indexrelid::regclass::text, 'table', indrelid::regclass::text)
            order by indexrelid) filter (where place <= {SHOWN}))
        from (select i.indexrelid, i.indrelid, row_number() over (order by i.indexrelid) as place
            from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
            where not (i.indisvalid and i.indisready) and c.relkind = 'i' and {_OWN}
              and not exists (select from pg_locks l left join pg_stat_activity a using (pid)
                where l.locktype = 'relation' and l.relation = i.indrelid and l.granted
                  and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')
                  and l.database = (select oid from pg_database where datname = current_database())
                  and a.backend_type is distinct from 'autovacuum worker')) i),
    'slots', (select json_build_object('count', count(*), 'shown', json_agg(json_build_object(
            'name', slot_name, 'kind', slot_type, 'retained_bytes',
            case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint end)
            order by restart_lsn, slot_name) filter (where place <= {SHOWN}))
        from (select *, row_number() over (order by restart_lsn, slot_name) as place from pg_replication_slots
            where not active and restart_lsn is not null and wal_status is distinct from 'lost') s)
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What the query is asked about.

    Attributes:
        history_schema: where the history is, or will be.
        workspace_table: schema and name, or the name alone; None where workspaces come from a function.
        long_transaction_seconds: how long a transaction may be open before it is named.
    """

    history_schema: str
    workspace_table: tuple[str, ...] | None = None
    long_transaction_seconds: float = 300.0

    @property
    def sql(self) -> str:
        """The query: one row with one JSON document."""
        parts = [
            _SERVER,
            _PRIVILEGES.format(history=literal(self.history_schema)),
            _SESSIONS.format(long_seconds=f"{self.long_transaction_seconds:f}"),
            _OBJECTS,
            _CAPACITY,
        ]
        if self.workspace_table is not None:
            parts.append(self._workspace_table(self.workspace_table))
        return f"select json_build_object({','.join(parts)})"

    @staticmethod
    def _workspace_table(table: tuple[str, ...]) -> str:
        # to_regclass() fails where the role may not use the schema; the catalog tells everybody.
        schema = "".join(table[:-1])
        where = (
            f"c.relnamespace = (select oid from pg_namespace where nspname = {literal(schema)})"
            if schema
            else "pg_table_is_visible(c.oid)"
        )
        return _WORKSPACE_TABLE.format(table=literal(table[-1]), where=where)
