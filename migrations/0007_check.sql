-- Checks of the rows against what the nodes list: which were asked for, how far they are, what they
-- found. A gateway's job does them; the command that asked reads the rows.

create table check_run (
    id bigint generated always as identity primary key,
    heals boolean not null,
    asked timestamptz not null default clock_timestamp(),
    step bigint not null default 0,
    is_done boolean not null default false,
    state text not null default '{}'
);
comment on table check_run is 'The checks that were asked for: done one after the other, the newest kept.';
comment on column check_run.heals is 'What is found missing is marked for heal, and waited for.';
comment on column check_run.step is
    'Units of work done. Whoever writes names the one it began with, so that of two that do the same unit one does.';
comment on column check_run.state is 'JSON text: how far it is, and what it counted.';

create table finding (
    run bigint not null,
    extent uuid not null,
    absent smallint not null,
    known smallint not null,
    crowded boolean not null,
    lost boolean not null,
    nodes smallint[] not null,
    outcome smallint not null default 0 check (outcome between 0 and 3),
    primary key (run, extent)
);
comment on table finding is 'Extents that have not six chunks on six nodes, as a check found them.';
comment on column finding.absent is 'Chunks that rows place on a node which does not have them, one bit by index.';
comment on column finding.known is 'Chunks that were marked missing already.';
comment on column finding.crowded is 'Two chunks stand on a node.';
comment on column finding.lost is 'Fewer chunks are left than a read needs.';
comment on column finding.nodes is 'The placement by which that was found.';
comment on column finding.outcome is '0 open, 1 healed, 2 deleted meanwhile, 3 not healed in time.';

create table finding_name (
    run bigint not null,
    body uuid not null,
    place smallint not null,
    bucket_id bigint not null,
    key bytea not null,
    version uuid,
    upload uuid,
    part integer
);
comment on table finding_name is 'Whose bytes they are. A body may be shared by copies.';
comment on column finding_name.place is 'Where the name stands: 0 object, 1 noncurrent, 2 part.';
-- A unit of work that is done twice names nothing twice.
create unique index finding_name_once on finding_name
    (run, body, place, bucket_id, key, version, upload, part) nulls not distinct;

-- Asks for a check, and forgets all but the newest ones that are done. Null: enough are waiting.
create function ask_check_v1(p_heals boolean) returns bigint language plpgsql volatile as $$
declare
    v_id bigint;
    v_old bigint[];
begin
    if (select count(*) from check_run r where not r.is_done) >= 16 then
        return null;
    end if;
    v_old := array(select r.id from check_run r where r.is_done order by r.id desc offset 15);
    delete from finding_name f where f.run = any (v_old);
    delete from finding f where f.run = any (v_old);
    delete from check_run r where r.id = any (v_old);
    insert into check_run (heals) values (p_heals) returning id into v_id;
    return v_id;
end $$;

-- Writes what a unit of work found, unless another process has done the unit p_step already.
create function step_check_v1(p_run bigint, p_step bigint, p_state text, p_is_done boolean,
    p_extents uuid[], p_absent smallint[], p_known smallint[], p_crowded boolean[],
    p_lost boolean[], p_nodes smallint[])
returns boolean language plpgsql volatile as $$
begin
    update check_run r set step = r.step + 1, state = p_state, is_done = p_is_done
        where r.id = p_run and r.step = p_step and not r.is_done;
    if not found then
        return false;
    end if;
    insert into finding (run, extent, absent, known, crowded, lost, nodes)
        select p_run, p_extents[i], p_absent[i], p_known[i], p_crowded[i], p_lost[i],
            p_nodes[i * 6 - 5 : i * 6]
        from generate_subscripts(p_extents, 1) i
        on conflict do nothing;
    return true;
end $$;

-- Whether a check found an extent of this body, as bodies are now.
create function is_found_body_v1(p_run bigint, p_body uuid) returns boolean
language plpgsql stable as $$
begin
    return p_body is not null and exists (
        select from extent e join finding f on f.run = p_run and f.extent = e.id
        where e.body_id = p_body);
end $$;

-- Names the findings of a check, a page of all keys at a time: whether a version has a body is in no
-- index, which every write would have to keep. Answers the last row of the page; null after the last.
create function name_current_v1(p_run bigint, p_bucket bigint, p_key bytea, p_limit integer)
returns table (bucket_id bigint, key bytea) language plpgsql volatile as $$
#variable_conflict use_column
declare
    v_last record;
begin
    with page as materialized (
        select o.bucket_id, o.key, o.version, o.body from object o
        where (o.bucket_id, o.key) > (p_bucket, p_key)
        order by o.bucket_id, o.key limit p_limit
    ), named as (
        insert into finding_name (run, body, place, bucket_id, key, version)
            select p_run, p.body, 0, p.bucket_id, p.key, p.version
            from page p where is_found_body_v1(p_run, p.body)
            on conflict do nothing
    )
    select p.bucket_id, p.key, count(*) over () as rows into v_last
        from page p order by p.bucket_id desc, p.key desc limit 1;
    if v_last.rows = p_limit then
        return query select v_last.bucket_id, v_last.key;
    end if;
end $$;

create function name_noncurrent_v1(p_run bigint, p_bucket bigint, p_key bytea, p_seq bigint,
    p_limit integer)
returns table (bucket_id bigint, key bytea, seq bigint) language plpgsql volatile as $$
#variable_conflict use_column
declare
    v_last record;
begin
    with page as materialized (
        select n.bucket_id, n.key, n.seq, n.version, n.body from noncurrent n
        where (n.bucket_id, n.key) >= (p_bucket, p_key)
            and ((n.bucket_id, n.key) <> (p_bucket, p_key) or n.seq < p_seq)
        order by n.bucket_id, n.key, n.seq desc limit p_limit
    ), named as (
        insert into finding_name (run, body, place, bucket_id, key, version)
            select p_run, p.body, 1, p.bucket_id, p.key, p.version
            from page p where is_found_body_v1(p_run, p.body)
            on conflict do nothing
    )
    select p.bucket_id, p.key, p.seq, count(*) over () as rows into v_last
        from page p order by p.bucket_id desc, p.key desc, p.seq limit 1;
    if v_last.rows = p_limit then
        return query select v_last.bucket_id, v_last.key, v_last.seq;
    end if;
end $$;

create function name_parts_v1(p_run bigint, p_upload uuid, p_number integer, p_limit integer)
returns table (upload_id uuid, number integer) language plpgsql volatile as $$
#variable_conflict use_column
declare
    v_last record;
begin
    with page as materialized (
        select t.upload_id, t.number, t.body from part t
        where (t.upload_id, t.number) > (p_upload, p_number)
        order by t.upload_id, t.number limit p_limit
    ), named as (
        insert into finding_name (run, body, place, bucket_id, key, upload, part)
            select p_run, p.body, 2, u.bucket_id, u.key, p.upload_id, p.number
            from page p join upload u on u.id = p.upload_id
            where is_found_body_v1(p_run, p.body)
            on conflict do nothing
    )
    select p.upload_id, p.number, count(*) over () as rows into v_last
        from page p order by p.upload_id desc, p.number desc limit 1;
    if v_last.rows = p_limit then
        return query select v_last.upload_id, v_last.number;
    end if;
end $$;
