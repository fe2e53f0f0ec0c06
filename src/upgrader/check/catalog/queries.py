"""One query for each catalog of PostgreSQL 14 and newer: the objects of the schemas in `%(schemas)s`.

Each row is: kind, schema, owner, name, and then facets, which are called like their columns. Everything that
the server prints is printed with an empty `search_path`, so that names are qualified alike everywhere.
Objects that belong to an extension are left out, and so are privileges and owners.
"""

from __future__ import annotations


def _own(catalog: str, oid: str, *, dependencies: str = "e") -> str:
    """Give the condition that an object belongs to no extension.

    Args:
        dependencies: `ei` leaves out what is a part of something else, too.
    """
    return (
        f"not exists (select from pg_depend e where e.classid = '{catalog}'::regclass"
        f" and e.objid = {oid} and position(e.deptype::text in '{dependencies}') > 0)"
    )


_IN_SCHEMAS = "n.nspname = any(%(schemas)s)"

SCHEMAS = f"""
select 'schema', n.nspname, null, n.nspname, obj_description(n.oid, 'pg_namespace') as comment
from pg_namespace n where {_IN_SCHEMAS}
"""

EXTENSIONS = """
select 'extension', '', null, e.extname, n.nspname as schema
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql'
"""

# The columns of pg_collation have changed their names from version to version.
COLLATIONS = f"""
select 'collation', n.nspname, null, c.collname,
    c.collprovider::text as provider,
    coalesce(to_jsonb(c)->>'colllocale', to_jsonb(c)->>'colliculocale', c.collcollate::text) as locale,
    to_jsonb(c)->>'collicurules' as rules,
    case when c.collisdeterministic then 'deterministic' else 'nondeterministic' end as comparison,
    obj_description(c.oid, 'pg_collation') as comment
from pg_collation c join pg_namespace n on n.oid = c.collnamespace
where {_IN_SCHEMAS} and {_own("pg_collation", "c.oid")}
"""

ENUMS = f"""
select 'enum', n.nspname, null, t.typname,
    (select string_agg(quote_literal(l.enumlabel), ', ' order by l.enumsortorder)
        from pg_enum l where l.enumtypid = t.oid) as values,
    obj_description(t.oid, 'pg_type') as comment
from pg_type t join pg_namespace n on n.oid = t.typnamespace
where t.typtype = 'e' and {_IN_SCHEMAS} and {_own("pg_type", "t.oid")}
"""

DOMAINS = f"""
select 'domain', n.nspname, null, t.typname,
    format_type(t.typbasetype, t.typtypmod) as type,
    case when t.typnotnull then 'not null' else 'nullable' end as nullability,
    t.typdefault as default,
    case when t.typcollation <> b.typcollation then t.typcollation::regcollation::text end as collation,
    obj_description(t.oid, 'pg_type') as comment
from pg_type t join pg_namespace n on n.oid = t.typnamespace join pg_type b on b.oid = t.typbasetype
where t.typtype = 'd' and {_IN_SCHEMAS} and {_own("pg_type", "t.oid")}
"""

DOMAIN_CONSTRAINTS = f"""
select 'domain constraint', n.nspname, t.typname, c.conname,
    pg_get_constraintdef(c.oid) as definition,
    obj_description(c.oid, 'pg_constraint') as comment
from pg_constraint c join pg_type t on t.oid = c.contypid join pg_namespace n on n.oid = t.typnamespace
where c.contype = 'c' and {_IN_SCHEMAS} and {_own("pg_type", "t.oid")}
"""

TYPES = f"""
select 'type', n.nspname, null, t.typname,
    case t.typtype when 'r' then 'range' else 'composite' end as kind,
    coalesce(
        (select string_agg(format('%%I %%s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by attnum)
            from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped),
        (select format('%%s collation %%s operators %%s',
                format_type(r.rngsubtype, null), r.rngcollation::regcollation, o.opcname)
            from pg_range r join pg_opclass o on o.oid = r.rngsubopc where r.rngtypid = t.oid)) as definition,
    obj_description(t.oid, 'pg_type') as comment
from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
where (t.typtype = 'r' or (t.typtype = 'c' and c.relkind = 'c')) and {_IN_SCHEMAS} and {_own("pg_type", "t.oid")}
"""

# The sequence of a serial or identity column goes by its column: its name is the server's business.
SEQUENCES = f"""
select case when o.column_name is null then 'sequence' else 'column''s sequence' end, n.nspname,
    case when o.column_name is not null then o.table_name end, coalesce(o.column_name, c.relname),
    format_type(s.seqtypid, null) as type, s.seqstart as start, s.seqincrement as increment,
    s.seqmin as minimum, s.seqmax as maximum, s.seqcache as cache,
    case when s.seqcycle then 'cycle' else 'no cycle' end as cycle,
    case when o.column_name is null then o.owned_by end as owner,
    case c.relpersistence when 'u' then 'unlogged' else 'logged' end as persistence,
    obj_description(c.oid, 'pg_class') as comment
from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
left join lateral (
    select format('%%s.%%I', a.attrelid::regclass, a.attname) as owned_by, t.relname as table_name,
        case when d.deptype = 'i'
                or pg_get_expr(f.adbin, f.adrelid) = format('nextval(%%L::regclass)', c.oid::regclass::text)
            then a.attname end as column_name
    from pg_depend d join pg_class t on t.oid = d.refobjid
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
        and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
    limit 1) o on true
where {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

FUNCTIONS = f"""
select 'function', n.nspname, null, format('%%s(%%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
    case when p.prokind = 'a'
        then (select format('aggregate returns %%s by %%s, state %%s, final %%s, start %%s',
                format_type(p.prorettype, null), g.aggtransfn, format_type(g.aggtranstype, null), g.aggfinalfn,
                g.agginitval)
            from pg_aggregate g where g.aggfnoid = p.oid)
        else pg_get_functiondef(p.oid) end as definition,
    obj_description(p.oid, 'pg_proc') as comment
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where {_IN_SCHEMAS} and {_own("pg_proc", "p.oid", dependencies="ei")}
"""

TABLES = f"""
select case when c.relispartition then 'partition' else 'table' end, n.nspname, null, c.relname,
    case c.relkind when 'p' then 'partitioned' when 'f' then 'foreign' else 'ordinary' end as kind,
    case c.relpersistence when 'u' then 'unlogged' else 'logged' end as persistence,
    pg_get_partkeydef(c.oid) as "partition key",
    pg_get_expr(c.relpartbound, c.oid) as "partition bound",
    (select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
        from pg_inherits i where i.inhrelid = c.oid) as parents,
    case when c.relrowsecurity then 'on' end as "row level security",
    case when c.relforcerowsecurity then 'on' end as "forced row level security",
    (select string_agg(o, ', ' order by o) from unnest(c.reloptions) o) as "storage options",
    case when m.amname <> current_setting('default_table_access_method') then m.amname end as "access method",
    case c.relreplident when 'n' then 'nothing' when 'f' then 'full' when 'i' then 'index' end as "replica identity",
    obj_description(c.oid, 'pg_class') as comment
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_am m on m.oid = c.relam
where c.relkind in ('r', 'p', 'f') and {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

# From 18 on a NOT NULL is a constraint with a name, which the server makes up; before, it was a mark only.
_NOT_NULL_VALID = "true"
_NOT_NULL_VALID_18 = (
    "not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'n'"
    " and not k.convalidated and k.conkey[1] = a.attnum)"
)

_COLUMNS = f"""
select 'column', n.nspname, c.relname, a.attname,
    format_type(a.atttypid, a.atttypmod) as type,
    case when not a.attnotnull then 'nullable' when <valid> then 'not null' else 'not null not valid' end
        as nullability,
    case when a.attgenerated <> '' then null
        when q.sequence is not null
            and pg_get_expr(d.adbin, d.adrelid) = format('nextval(%%L::regclass)', q.sequence::regclass::text)
        then 'the next value of its own sequence'
        else pg_get_expr(d.adbin, d.adrelid) end as default,
    case a.attidentity when 'a' then 'always' when 'd' then 'by default' end as identity,
    case a.attgenerated when 's' then 'stored ' when 'v' then 'virtual ' end || pg_get_expr(d.adbin, d.adrelid)
        as generated,
    case when a.attcollation <> t.typcollation then a.attcollation::regcollation::text end as collation,
    case when a.attstorage <> t.typstorage then a.attstorage::text end as storage,
    nullif(a.attcompression::text, '') as compression,
    col_description(c.oid, a.attnum) as comment
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join lateral (
    select s.objid as sequence from pg_depend s join pg_class sc on sc.oid = s.objid and sc.relkind = 'S'
    where s.classid = 'pg_class'::regclass and s.refclassid = 'pg_class'::regclass
        and s.refobjid = c.oid and s.refobjsubid = a.attnum and s.deptype in ('a', 'i')
    limit 1) q on a.atthasdef
where c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped and {_IN_SCHEMAS}
    and {_own("pg_class", "c.oid")}
"""

# Constraints of partitions follow those of their tables; NOT NULL is told with the column.
CONSTRAINTS = f"""
select 'constraint', n.nspname, c.relname, k.conname,
    pg_get_constraintdef(k.oid) as definition,
    case when i.indisvalid is false then 'invalid' else 'valid' end as "state of its index",
    (select string_agg(o, ', ' order by o) from unnest(ic.reloptions) o) as "storage options",
    obj_description(k.oid, 'pg_constraint') as comment
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_index i on i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x')
left join pg_class ic on ic.oid = i.indexrelid
where k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0 and {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

INDEXES = f"""
select 'index', n.nspname, t.relname, c.relname,
    replace(pg_get_indexdef(c.oid), format('INDEX %%I ON ', c.relname), 'INDEX ON ') as definition,
    case when i.indisvalid then 'valid' else 'invalid' end as state,
    obj_description(c.oid, 'pg_class') as comment
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = i.indrelid
where not c.relispartition and {_IN_SCHEMAS} and {_own("pg_class", "t.oid")}
    and not exists (select from pg_constraint k where k.conindid = c.oid and k.contype in ('p', 'u', 'x'))
"""

VIEWS = f"""
select case c.relkind when 'v' then 'view' else 'materialized view' end, n.nspname, null, c.relname,
    pg_get_viewdef(c.oid) as definition,
    (select string_agg(o, ', ' order by o) from unnest(c.reloptions) o) as options,
    obj_description(c.oid, 'pg_class') as comment
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm') and {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

TRIGGERS = f"""
select 'trigger', n.nspname, c.relname, t.tgname,
    pg_get_triggerdef(t.oid) as definition,
    case t.tgenabled when 'O' then 'enabled' when 'D' then 'disabled' when 'R' then 'on replicas' else 'always' end
        as state,
    obj_description(t.oid, 'pg_trigger') as comment
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgparentid = 0 and {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

POLICIES = f"""
select 'policy', n.nspname, c.relname, p.polname,
    p.polcmd::text as command,
    case when p.polpermissive then 'permissive' else 'restrictive' end as kind,
    (select string_agg(coalesce(r.rolname, 'public'), ', ' order by r.rolname)
        from unnest(p.polroles) given left join pg_roles r on r.oid = given) as roles,
    pg_get_expr(p.polqual, p.polrelid) as using,
    pg_get_expr(p.polwithcheck, p.polrelid) as "with check",
    obj_description(p.oid, 'pg_policy') as comment
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

RULES = f"""
select 'rule', n.nspname, c.relname, r.rulename,
    pg_get_ruledef(r.oid) as definition,
    obj_description(r.oid, 'pg_rewrite') as comment
from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
where r.rulename <> '_RETURN' and {_IN_SCHEMAS} and {_own("pg_class", "c.oid")}
"""

STATISTICS = f"""
select 'statistics', n.nspname, null, s.stxname,
    pg_get_statisticsobjdef(s.oid) as definition,
    obj_description(s.oid, 'pg_statistic_ext') as comment
from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace
where {_IN_SCHEMAS} and {_own("pg_statistic_ext", "s.oid")}
"""

_FIRST_WITH_NOT_NULL_CONSTRAINTS = 180_000


def catalog_queries(server_version: int) -> tuple[str, ...]:
    """Give all queries for a server.

    Args:
        server_version: as libpq gives it, 180004 for 18.4.
    """
    has_constraints = server_version >= _FIRST_WITH_NOT_NULL_CONSTRAINTS
    columns = _COLUMNS.replace("<valid>", _NOT_NULL_VALID_18 if has_constraints else _NOT_NULL_VALID)
    return (
        *(SCHEMAS, EXTENSIONS, COLLATIONS, ENUMS, DOMAINS, DOMAIN_CONSTRAINTS, TYPES, SEQUENCES, FUNCTIONS),
        *(TABLES, columns, CONSTRAINTS, INDEXES, VIEWS, TRIGGERS, POLICIES, RULES, STATISTICS),
    )
