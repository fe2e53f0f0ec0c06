"""The SQL functions that applications call: a workspace's history begins with one and ends with the other.

Each is SECURITY DEFINER, for roles that may do nothing else with the history, and excludes itself against a
barrier that is being passed.
"""

ENROLLED_ALREADY = "UPG04"
NOT_ENROLLED = "UPG05"
"""SQLSTATEs: a second enrolment at another version; a step of a workspace that has no history any more."""

WORKSPACE_FUNCTIONS = """
create function {schema}.enroll_workspace(p_workspace_id text, p_version text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
declare
    present text;
begin
    if p_workspace_id is null or p_workspace_id = '' then
        raise exception 'enroll_workspace needs the id of a workspace' using errcode = '22004';
    end if;
    if p_version is null or p_version !~ '^(start|[0-9]+\\.[0-9]+\\.[0-9]+((a|b|rc)[0-9]+)?)$' then
        raise exception '% is not a release version', coalesce(quote_literal(p_version), 'null')
            using errcode = '22023', hint = 'write MAJOR.MINOR.PATCH, for example ''1.22.0''';
    end if;
    -- A barrier that is being passed waits for this transaction, or this transaction for it.
    perform pg_advisory_xact_lock_shared({barrier});
    -- The row is made first and locked, so that of two callers at once the second sees what the first one did.
    insert into {schema}.scope (workspace_id) values (p_workspace_id)
    on conflict (coalesce(workspace_id, '')) do nothing;
    select enrolled into present from {schema}.scope where coalesce(workspace_id, '') = p_workspace_id for update;
    if present is not null then
        if present <> p_version then
            raise exception 'workspace % is enrolled at % already', p_workspace_id, present
                using errcode = '{enrolled_already}';
        end if;
        return;
    end if;
    -- What a step wrote about a workspace that was forgotten while it ran.
    update {schema}.history set forgotten_at = clock_timestamp()
    where coalesce(workspace_id, '') = p_workspace_id and forgotten_at is null;
    insert into {schema}.history (name, kind, version, workspace_id, status, attempt, is_initial,
        executed_by_version, checksum, finished_at)
    values (p_version || '_enrolment', 'workspace', p_version, p_workspace_id, 'completed', 1, true,
        p_version, '', clock_timestamp());
end $body$;

comment on function {schema}.enroll_workspace(text, text) is
    'Call in the transaction that creates a workspace, with the release whose shape it was made in';
revoke execute on function {schema}.enroll_workspace(text, text) from public;

create function {schema}.forget_workspace(p_workspace_id text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
begin
    if p_workspace_id is null or p_workspace_id = '' then
        raise exception 'forget_workspace needs the id of a workspace' using errcode = '22004';
    end if;
    perform pg_advisory_xact_lock_shared({barrier});
    -- A step that is being recorded holds this row: its record is seen below, then.
    perform from {schema}.scope where coalesce(workspace_id, '') = p_workspace_id for update;
    update {schema}.history set forgotten_at = clock_timestamp()
    where coalesce(workspace_id, '') = p_workspace_id and forgotten_at is null;
    delete from {schema}.scope where coalesce(workspace_id, '') = p_workspace_id;
    update {schema}.quarantine set released_at = clock_timestamp()
    where workspace_id = p_workspace_id and released_at is null;
    perform {schema}.end_backfills(p_workspace_id, null);
end $body$;

comment on function {schema}.forget_workspace(text) is
    'Call in the transaction that deletes a workspace, so that its id may be used again';
revoke execute on function {schema}.forget_workspace(text) from public;
"""
