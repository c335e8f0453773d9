-- The database's history, by which nodes see that it went back in time, and what they keep then.

create table mark (
    number bigint primary key,
    tag uuid not null default gen_random_uuid(),
    timeline integer not null,
    made timestamptz not null default clock_timestamp()
);
comment on table mark is
    'A row a minute, and one at every start of a node. Each node remembers the newest: a database without that row was restored from before it.';
comment on column mark.timeline is
    'PostgreSQL''s own count of recoveries and promotions. After one the marks of before count as unknown: what was committed since the newest of them may be lost.';
comment on column mark.tag is 'Two histories that parted have the same numbers, but never the same tags.';

create table quarantine (
    node smallint primary key,
    kept bigint not null,
    since timestamptz not null default clock_timestamp(),
    chunks bigint,
    bytes bigint,
    released bigint not null default 0
);
comment on table quarantine is
    'Nodes that keep what no row wants, because this database does not know all of the history that they do.';
comment on column quarantine.kept is 'Copies up to this number, by the node''s own word.';
comment on column quarantine.chunks is 'How many of them no row wants, by the last sweep; null before it.';
comment on column quarantine.released is 'Copies up to this number an operator gave up; the node reads it.';

-- The timeline that the database writes on.
create function timeline_v1() returns integer language sql volatile as $$
    select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
$$;

-- Answers a node that tells what it remembers: the newest mark, and which of its marks are of this
-- history. Makes a new mark each minute, and on a new timeline; of two that do so at once, one does.
-- The oldest marks are forgotten, after about 90 days: a node that was away for longer keeps what it
-- has, until an operator says otherwise.
create function witness_v1(p_node smallint, p_numbers bigint[], p_tags uuid[], p_kept bigint,
    p_is_first boolean)
returns table (number bigint, tag uuid, known boolean[], released bigint)
language plpgsql volatile as $$
#variable_conflict use_column
declare
    v_timeline integer := timeline_v1();
    v_newest mark;
begin
    select m.* into v_newest from mark m order by m.number desc limit 1;
    if v_newest.number is null or p_is_first or v_newest.timeline <> v_timeline
        or clock_timestamp() - v_newest.made not between interval '0' and interval '1 minute' then
        insert into mark (number, timeline) values (coalesce(v_newest.number, 0) + 1, v_timeline)
            on conflict do nothing;
        delete from mark m where m.number < v_newest.number - 90 * 24 * 60;
    end if;
    if p_kept > 0 then
        insert into quarantine as q (node, kept) values (p_node, p_kept)
            on conflict (node) do update set kept = excluded.kept, chunks = null, bytes = null
            where q.kept <> excluded.kept;
    else
        delete from quarantine q where q.node = p_node;
    end if;
    return query select m.number, m.tag,
        array(select exists (select from mark k where k.number = r.number and k.tag = r.tag
                and k.timeline = v_timeline)
            from unnest(p_numbers, p_tags) with ordinality as r (number, tag, position)
            order by r.position),
        coalesce((select q.released from quarantine q where q.node = p_node), 0)
        from mark m order by m.number desc limit 1;
end $$;

create function node_witness(drive uuid, registration bigint, numbers bigint[], tags uuid[],
    kept bigint, is_first boolean)
returns table (number bigint, tag uuid, known boolean[], released bigint)
language plpgsql volatile security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    v_number smallint;
begin
    select n.number into v_number from node n where n.drive = $1 and n.registration = $2;
    if found then
        return query select * from witness_v1(v_number, $3, $4, $5, $6);
    end if;
end $$;

-- Whether a mark is of this history and of the last minutes: far more than a node needs to see a new
-- one, so that a node that remembers it knows this database.
create function is_recent_mark_v1(p_number bigint, p_tag uuid) returns boolean
language sql stable as $$
    select exists (select from mark m where m.number = p_number and m.tag = p_tag
        and m.timeline = timeline_v1() and m.made > clock_timestamp() - interval '5 minutes');
$$;

revoke all on function witness_v1(smallint, bigint[], uuid[], bigint, boolean) from public;
revoke all on function node_witness(uuid, bigint, bigint[], uuid[], bigint, boolean) from public;

do $$
begin
    grant execute on function node_witness(uuid, bigint, bigint[], uuid[], bigint, boolean)
        to sixfold_node;
exception
    when undefined_object then
        raise notice 'grant execute on node_witness to the role of the nodes';
end $$;
