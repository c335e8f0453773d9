-- The cluster's own rows: its id, users and their access keys, nodes; the functions over leases
-- and chunks; and the role that node processes connect as.

create table cluster (
    id uuid not null default gen_random_uuid(),
    is_only boolean primary key default true check (is_only)
);
comment on table cluster is 'One row, made with the schema: a node refuses to serve another cluster.';
insert into cluster default values;

create table users (
    id uuid primary key,
    name text collate "C" not null constraint users_name_key unique,
    created timestamptz not null default clock_timestamp()
);
comment on table users is 'Owners of buckets. Plural because USER is a word of SQL.';

create table access_key (
    access_key text collate "C" constraint access_key_pkey primary key,
    user_id uuid not null,
    sealed bytea not null,
    created timestamptz not null default clock_timestamp()
);
comment on column access_key.sealed is
    'The secret, encrypted under the master key, which the database never sees.';
create index access_key_by_user on access_key (user_id);

create table node (
    number smallint generated always as identity primary key,
    drive uuid not null constraint node_drive_key unique,
    address text,
    zone text not null,
    weight double precision not null check (weight > 0),
    set_weight double precision check (set_weight > 0),
    seat smallint not null,
    is_awaited boolean not null default false,
    registration bigint not null default 1,
    state text not null default 'active'
        check (state in ('active', 'draining', 'full', 'fenced', 'removed')),
    capacity bigint not null default 0,
    free bigint not null default 0,
    chunks bigint,
    heartbeat timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
comment on table node is
    'Every drive that ever was a node: rows are never deleted, so that a number is never reused. Half-filled pages: a heartbeat stays in its page.';
comment on column node.drive is 'The random id in the node''s directory.';
comment on column node.address is
    'Null: embedded in the server''s process. Empty: another node has registered with its address since.';
comment on column node.set_weight is 'What an operator set; it wins over what the node says.';
comment on column node.seat is
    'Whose tokens it has on the ring: its own number, or the seat of the node that it replaced.';
comment on column node.is_awaited is 'Removed, and the next new drive takes its seat.';
-- Two with the same tokens would have the same chunks, and fail together.
create unique index node_seat_key on node (seat) where state <> 'removed';
comment on column node.chunks is
    'How many it has, by its last heartbeat. Null while it does not know yet that it is drained: 0 of a draining node means that it is empty and stays so.';
comment on column node.registration is
    'Grows with each registration. Whoever holds an older one is an older process or a copied drive, and is fenced.';
comment on column node.state is 'What an operator or the node said. Silence is measured by watchers, not stored.';

-- Registers a drive, or registers it again. Told to gateways, unlike heartbeats. A new drive takes
-- the seat of a node that an operator said is to be replaced, and its weight.
create function register_node_v1(p_drive uuid, p_address text, p_zone text,
    p_weight double precision)
returns table (number smallint, registration bigint, cluster uuid, state text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
    v_number smallint;
    v_registration bigint;
    v_state text;
    v_awaited smallint;
begin
    -- One at a time: an insert that loses a race would burn a number.
    perform pg_advisory_xact_lock(hashtextextended('sixfold register_node', 0));
    -- Whoever answers there now, it is not the node of before: its drive was wiped or exchanged.
    update node n set address = '' where n.address = p_address and n.drive <> p_drive;
    update node n set address = p_address, zone = p_zone, weight = p_weight,
        registration = n.registration + 1,
        state = case when n.state in ('draining', 'removed') then n.state else 'active' end,
        chunks = null, heartbeat = clock_timestamp()
        where n.drive = p_drive
        returning n.number, n.registration, n.state into v_number, v_registration, v_state;
    if not found then
        insert into node as n (drive, address, zone, weight, seat)
            values (p_drive, p_address, p_zone, p_weight, 0)
            returning n.number, n.registration, n.state into v_number, v_registration, v_state;
        update node n set seat = v_number where n.number = v_number;
        select min(n.number) into v_awaited from node n where n.is_awaited;
        if v_awaited is not null then
            perform take_seat_v1(v_awaited, v_number);
        end if;
    end if;
    perform pg_notify('sixfold_registry', v_number::text);
    return query select v_number, v_registration, c.id, v_state from cluster c;
end $$;

-- Gives the seat and the weight of p_old, which is removed, to p_new. The ring stays as it is, so
-- that only what was on the one comes to the other. Nobody else who had that seat awaits a drive.
create function take_seat_v1(p_old smallint, p_new smallint) returns void
language plpgsql volatile as $$
begin
    update node n set seat = o.seat, set_weight = coalesce(o.set_weight, o.weight)
        from node o where o.number = p_old and n.number = p_new;
    update node n set is_awaited = false
        from node o where o.number = p_old and n.seat = o.seat and n.is_awaited;
end $$;

-- What an operator decides of a node: 'active' ends a drain, 'draining' begins one. False: there is
-- no such node, or it is removed, which remove_node_v1 does. Told to gateways.
create function set_node_state_v1(p_number smallint, p_state text) returns boolean
language plpgsql volatile as $$
begin
    if p_state not in ('active', 'draining') then
        raise exception 'an operator does not decide that a node is %', p_state
            using errcode = '22023';
    end if;
    update node n set state = p_state, chunks = case when p_state = 'draining' then null else n.chunks end
        where n.number = p_number and n.state <> 'removed' and n.state <> p_state;
    if not found then
        return exists (select from node n where n.number = p_number and n.state = p_state);
    end if;
    perform pg_notify('sixfold_registry', p_number::text);
    return true;
end $$;

-- Sets the weight that wins over what the node says. False: there is no such node, or it is removed.
create function set_node_weight_v1(p_number smallint, p_weight double precision) returns boolean
language plpgsql volatile as $$
begin
    update node n set set_weight = p_weight where n.number = p_number and n.state <> 'removed';
    if found then
        perform pg_notify('sixfold_registry', p_number::text);
        return true;
    end if;
    return false;
end $$;

-- How many extents, counted to p_most, could not be read any more without p_node: too few of their
-- chunks would be neither missing nor on a node that is removed. Those of freed bodies don't count.
-- Where a placement loses just one chunk, what needs a look is few: the extents that spare less than
-- 4+2 does, and those that have nothing to spare already.
create function lost_without_v1(p_node smallint, p_most integer) returns integer
language plpgsql volatile as $$
declare
    v_removed smallint[] := array(select n.number from node n where n.state = 'removed');
    v_lost integer;
begin
    with suspect as materialized (
        select p.id, bit_or((1 << (place.position - 1)::integer)::smallint) as gone
        from placement p, unnest(p.nodes) with ordinality as place (node, position)
        where p.nodes @> array[p_node] and place.node = any (v_removed || p_node)
        group by p.id
    ), alone as materialized (
        select s.id, s.gone from suspect s where bit_count(s.gone::integer::bit(6)) = 1
    ), at_risk as materialized (
        select e.body_id, e.placement_id, e.missing from extent e
            where e.missing <> 0 and spare_v1(e.scheme, e.missing) < 1 and e.scheme = 1
    ), lost as (
        select e.body_id from suspect s join extent e on e.placement_id = s.id
            where bit_count(s.gone::integer::bit(6)) > 1
                and spare_v1(e.scheme, e.missing | s.gone) < 0
        union all
        select e.body_id from alone a join extent e on e.placement_id = a.id
            where e.scheme <> 1 and spare_v1(e.scheme, e.missing | a.gone) < 0
        union all
        select r.body_id from at_risk r join alone a on a.id = r.placement_id
            where spare_v1(1::smallint, r.missing | a.gone) < 0
    )
    select count(*) into v_lost from (
        select from lost l where not exists (
            select from body b where b.id = l.body_id and b.freed_at is not null)
        limit p_most
    ) counted;
    return v_lost;
end $$;

-- Removes p_node for good. Its seat goes to p_new, to the next new drive (p_is_awaited), or to
-- nobody; then a node that was removed before can give its seat away, too. Answers 'done', or why
-- not: 'absent' (one of them is not there, or is removed), 'taken' (a node has that seat), 'loses'
-- (so many extents, counted to p_most; with p_may_lose it is done all the same). Told to gateways.
create function remove_node_v1(p_node smallint, p_new smallint, p_is_awaited boolean,
    p_may_lose boolean, p_most integer)
returns table (outcome text, lost integer) language plpgsql volatile as $$
declare
    v_seat smallint;
    v_is_removed boolean;
begin
    -- As registrations do: none may slip in between. And of two removals the second one counts what
    -- the first one left.
    perform pg_advisory_xact_lock(hashtextextended('sixfold register_node', 0));
    select n.seat, n.state = 'removed' into v_seat, v_is_removed from node n where n.number = p_node;
    if not found or p_new = p_node or v_is_removed and p_new is null and not p_is_awaited
        or p_new is not null and not exists (
            select from node n where n.number = p_new and n.state <> 'removed') then
        return query select 'absent', 0;
        return;
    end if;
    if v_is_removed and exists (
        select from node n where n.seat = v_seat and n.state <> 'removed') then
        return query select 'taken', 0;
        return;
    end if;
    if not v_is_removed and not p_may_lose then
        lost := lost_without_v1(p_node, p_most);
        if lost > 0 then
            return query select 'loses', lost;
            return;
        end if;
    end if;
    update node n set state = 'removed', is_awaited = p_new is null and p_is_awaited
        where n.number = p_node;
    if p_new is not null then
        perform take_seat_v1(p_node, p_new);
    end if;
    perform pg_notify('sixfold_registry', p_node::text);
    return query select 'done', 0;
end $$;

-- Records that a node lives, and answers its state: what an operator decided stays, and the node
-- learns it here. Null: another process has registered this node since.
create function heartbeat_v1(p_number smallint, p_registration bigint, p_state text,
    p_capacity bigint, p_free bigint, p_chunks bigint)
returns text language plpgsql volatile as $$
declare
    v_state text;
begin
    if p_state not in ('active', 'full', 'fenced', 'draining') then
        raise exception 'a node can''t say of itself that it is %', p_state
            using errcode = '22023';
    end if;
    update node n set heartbeat = clock_timestamp(), capacity = p_capacity, free = p_free,
        chunks = case when n.state <> 'draining' or p_state = 'draining' then p_chunks end,
        state = case when n.state in ('draining', 'removed') or p_state = 'draining'
            then n.state else p_state end
        where n.number = p_number and n.registration = p_registration
        returning n.state into v_state;
    return v_state;
end $$;

-- What a node process calls to register. An address is a must: a row without one is embedded in a
-- server's process, which a node process can't say of itself.
create function node_register(drive uuid, address text, zone text, weight double precision)
returns table (number smallint, registration bigint, cluster uuid, state text)
language plpgsql volatile security definer set search_path = public, pg_temp as $$
begin
    if $2 is null or length($2) > 300 or $2 !~ '^https?://[^/?#@[:space:]]+:[0-9]{1,5}$' then
        raise exception 'a node needs an address like http://HOST:PORT' using errcode = '22023';
    end if;
    if $3 is null or $3 !~ '^[[:graph:]]{1,64}$' then
        raise exception 'a node needs a zone of 1 to 64 characters' using errcode = '22023';
    end if;
    if $4 is null or not $4 between 0.01 and 100 then
        raise exception 'a node needs a weight between 0.01 and 100' using errcode = '22023';
    end if;
    return query select * from register_node_v1($1, $2, $3, $4);
end $$;

-- What a node process calls to say that it lives. It names itself by the id on its drive, which
-- other nodes can't read anywhere, so that none speaks for another.
create function node_heartbeat(drive uuid, registration bigint, state text, capacity bigint,
    free bigint, chunks bigint)
returns text
language plpgsql volatile security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
begin
    return heartbeat_v1((select n.number from node n where n.drive = $1), $2, $3, $4, $5, $6);
end $$;

create table forgotten (
    extent uuid primary key
);
comment on table forgotten is
    'Extents that had moved and are deleted, while the lease under which they were written lives: it can''t commit them again, so what they left behind may go before it ends.';

-- The one rule for deleting a chunk copy, parts (a) and (b): its writer's lease has ended, and a
-- statement begun after that finds no row that places the chunk on this node. A lease's row
-- vanishes only after every commit that locked it is over, and each statement of a volatile
-- function has a snapshot of its own, so the second one sees all those commits. The lease that an
-- extent was written under makes it reachable once, with its commit: when that is seen to be over,
-- a copy of this writer need not wait for the lease's end. (Heal and rebalance write under leases
-- of their own.) A copy that was moved away is kept for p_kept, and for reads that began before.
-- Answers the positions, from 1, of the copies that may be deleted. Part (c), the copy number, is
-- checked by the node when it deletes.
create function condemned_v1(p_node smallint, p_extents uuid[], p_indexes smallint[],
    p_writers bigint[], p_kept interval)
returns setof integer language plpgsql volatile security definer
set search_path = public, pg_temp as $$
declare
    v_live bigint[];
    v_before timestamptz;
begin
    v_live := array(select l.id from lease l where l.id = any (p_writers));
    v_before := least(clock_timestamp() - p_kept,
        (select min(least(l.oldest_read, l.renewed)) from lease l) - p_kept / 2);
    return query
        select i from generate_subscripts(p_extents, 1) i
            left join extent e on e.id = p_extents[i]
            left join placement p on p.id = e.placement_id
        where (p_writers[i] <> all (v_live)
                or p_writers[i] = lease_of_v1(p_extents[i]) and (e.id is not null
                    or exists (select from forgotten f where f.extent = p_extents[i])))
            and (e.id is null or p.nodes[p_indexes[i] + 1] <> p_node
                and (e.moved is null or e.moved < v_before));
end $$;

create table job (
    name text collate "C" primary key,
    claimant bigint not null,
    lease bigint not null,
    doing text not null,
    touched timestamptz not null default clock_timestamp()
);
comment on table job is
    'Jobs that one process does for all: which one, and what it is doing. A claim saves work that would be done twice; what is written is safe without it.';
comment on column job.lease is 'A lease of the claimant: with it the claim ends.';

-- Switches an extent to chunks that were made anew or moved, under the lease that wrote them, if
-- its placement is still p_from. Whoever is second changes nothing.
create function move_chunks_v1(p_lease bigint, p_extent uuid, p_from smallint[], p_to smallint[],
    p_healed smallint)
returns boolean language plpgsql volatile as $$
declare
    v_to integer;
begin
    perform lock_lease_v1(p_lease);
    v_to := (placements_v1(p_to))[1];
    update extent e set placement_id = v_to, missing = e.missing & ~p_healed,
        moved = case when p_to = p_from then e.moved else clock_timestamp() end
        from placement p
        where e.id = p_extent and p.id = e.placement_id and p.nodes = p_from;
    return found;
end $$;

-- Bodies freed for p_at_least, and before anything that a running read began with. A read that
-- began after its holder's last renewal is not published yet, so the renewal bounds it too. Half
-- of p_at_least is taken off both: a read is known a moment after it looked its body up, and a
-- body is freed a moment before that is visible. A page ends early where it has many extents, so
-- that what is done with them stays within the time of a statement.
create function freed_bodies_v1(p_at_least interval, p_limit integer) returns setof uuid
language plpgsql volatile as $$
declare
    v_before timestamptz := clock_timestamp() - p_at_least;
    v_extents bigint := 20000;
    v_body uuid;
begin
    v_before := least(v_before,
        (select min(least(l.oldest_read, l.renewed)) from lease l) - p_at_least / 2);
    for v_body in
        select b.id from body b where b.freed_at < v_before order by b.freed_at limit p_limit
    loop
        return next v_body;
        v_extents := v_extents - (
            select count(*) from (select from extent e where e.body_id = v_body limit v_extents) x);
        exit when v_extents <= 0;
    end loop;
end $$;

-- Forgets freed bodies with their extents; says how many.
create function forget_bodies_v1(p_bodies uuid[]) returns bigint language plpgsql volatile as $$
declare
    v_gone uuid[];
begin
    v_gone := array(select b.id from body b where b.id = any (p_bodies) and b.freed_at is not null
        order by b.id for update);
    insert into forgotten (extent)
        select e.id from extent e join lease l on l.id = lease_of_v1(e.id)
        where e.body_id = any (v_gone) and e.moved is not null
        on conflict do nothing;
    delete from forgotten f
        where not exists (select from lease l where l.id = lease_of_v1(f.extent));
    delete from extent e where e.body_id = any (v_gone);
    delete from body b where b.id = any (v_gone);
    return cardinality(v_gone);
end $$;

-- The role of node processes: of Sixfold's own it may call the node functions (those whose names begin with node_) and read
-- nothing. What PostgreSQL lets every role do it may do, too: it can take advisory locks and make
-- large objects, so that whoever has its password can hold the cluster up, but not read or change
-- a row. A node keeps one connection; a cluster of more nodes raises the limit. It can't log in
-- until it is given a password (sixfold migrate --node-role-password-file). Where the owner of the
-- database may not make roles, an administrator makes it and grants the same.
do $$
begin
    create role sixfold_node nologin connection limit 64;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then
        raise notice 'role sixfold_node was not made: this role may not create roles';
end $$;

-- Nobody's temporary tables fill the database's drive but its owner's.
do $$
begin
    execute format('revoke temporary on database %I from public', current_database());
end $$;

revoke all on function node_register(uuid, text, text, double precision) from public;
revoke all on function node_heartbeat(uuid, bigint, text, bigint, bigint, bigint) from public;
revoke all on function register_node_v1(uuid, text, text, double precision) from public;
revoke all on function heartbeat_v1(smallint, bigint, text, bigint, bigint, bigint)
    from public;
revoke all on function condemned_v1(smallint, uuid[], smallint[], bigint[], interval)
    from public;

do $$
begin
    grant execute on function node_register(uuid, text, text, double precision) to sixfold_node;
    grant execute on function node_heartbeat(uuid, bigint, text, bigint, bigint, bigint)
        to sixfold_node;
exception
    when undefined_object then
        raise notice 'grant execute on node_register and node_heartbeat to the role of the nodes';
end $$;
