-- Background work: how each job is, for an operator to see; and what a node's own jobs may change.

create table job_state (
    process text collate "C" not null,
    job text collate "C" not null,
    state text not null,
    reported timestamptz not null default clock_timestamp(),
    primary key (process, job)
) with (fillfactor = 50);
comment on table job_state is
    'A row per process and job, written every few seconds by the process itself. Half-filled pages: a report stays in its page.';
comment on column job_state.process is 'HOST:PORT of a server or gateway, or the number of a node.';
comment on column job_state.state is
    'JSON text: runs, things, result, progress, failures, error; times in seconds before and after the report, so that no process''s clock matters.';

-- Takes what a process says of its jobs.
create function report_jobs_v1(p_process text, p_jobs text[], p_states text[]) returns void
language plpgsql volatile as $$
begin
    insert into job_state as s (process, job, state)
        select p_process, r.job, r.state from unnest(p_jobs, p_states) as r (job, state)
        on conflict (process, job) do update
            set state = excluded.state, reported = clock_timestamp();
end $$;

-- Marks chunks that a node found rotten, as far as rows place them there: a copy that was moved away
-- may rot as it likes.
create function mark_rotten_v1(p_node smallint, p_extents uuid[], p_indexes smallint[]) returns void
language plpgsql volatile as $$
begin
    update extent e set missing = e.missing | found.chunks
        from (
            select r.extent, bit_or((1 << r.chunk)::smallint) as chunks
            from unnest(p_extents, p_indexes) as r (extent, chunk)
                join extent x on x.id = r.extent
                join placement p on p.id = x.placement_id
            where p.nodes[r.chunk + 1] = p_node
            group by r.extent
        ) found
        where e.id = found.extent and e.missing | found.chunks <> e.missing;
end $$;

-- What a node process calls, named by the id on its drive: nothing happens once it is not the newest
-- registration. The limits keep a node that went mad from filling the table.
create function node_report_jobs(drive uuid, registration bigint, jobs text[], states text[])
returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    v_number smallint;
begin
    if cardinality($3) > 16 or exists (select from unnest($3) job where length(job) > 64)
        or exists (select from unnest($4) state where length(state) > 4000) then
        raise exception 'a node''s report is too large' using errcode = '22023';
    end if;
    select n.number into v_number from node n where n.drive = $1 and n.registration = $2;
    if found then
        perform report_jobs_v1('node ' || v_number, $3, $4);
    end if;
end $$;

create function node_mark_rotten(drive uuid, registration bigint, extents uuid[], indexes smallint[])
returns void
language plpgsql volatile security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    v_number smallint;
begin
    select n.number into v_number from node n where n.drive = $1 and n.registration = $2;
    if found then
        perform mark_rotten_v1(v_number, $3, $4);
    end if;
end $$;

revoke all on function report_jobs_v1(text, text[], text[]) from public;
revoke all on function mark_rotten_v1(smallint, uuid[], smallint[]) from public;
revoke all on function node_report_jobs(uuid, bigint, text[], text[]) from public;
revoke all on function node_mark_rotten(uuid, bigint, uuid[], smallint[]) from public;

do $$
begin
    grant execute on function node_report_jobs(uuid, bigint, text[], text[]) to sixfold_node;
    grant execute on function node_mark_rotten(uuid, bigint, uuid[], smallint[]) to sixfold_node;
exception
    when undefined_object then
        raise notice 'grant execute on node_report_jobs and node_mark_rotten to the role of the nodes';
end $$;
