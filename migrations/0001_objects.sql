-- Buckets, versions, bodies and extents; the lease rows that commits lock; and the functions that
-- are the transactions over them.
--
-- Rules that hold for everything here and in the files behind this one:
--   * READ COMMITTED; lock in one statement, look in the next: the snapshot of a statement is older
--     than its waits. That is why transactions are VOLATILE PL/pgSQL functions: each statement in
--     them has a fresh snapshot, and the whole costs one round trip.
--   * Lock order: lease, bucket, upload, keys (advisory locks), bodies by id, placements by nodes.
--   * A wait for a lock is bounded (lock_timeout), so that a crowd on one key gets an answer.
--   * Advisory locks are of the transaction, never of the session: a pooler may stand between.
--   * There are no foreign keys: each would lock a row that every write of a bucket shares.
--   * A function's name ends with its version. A changed function is a new name; the old one is
--     dropped a release later, because the running gateways still call it.
--   * Refusals that end a transaction: SX001 lease ended, SX002 bucket changed, SX003 no such
--     bucket, SX004 bucket not empty. Outcomes that a client sees are returned, not raised.

create table lease (
    id bigint primary key,
    holder text not null,
    renewed timestamptz not null default clock_timestamp(),
    oldest_read timestamptz
);
comment on table lease is
    'One row per process that may write chunks. Whatever makes chunks reachable locks it FOR KEY SHARE; ending a lease deletes it, which waits for all of those.';
comment on column lease.id is 'Random 64 bits; the first half of the ids of the extents written under it.';
comment on column lease.renewed is 'Says when the lease may be ended, never that it has ended.';
comment on column lease.oldest_read is 'When the oldest read still running in the holder began; null: none runs.';

create table bucket (
    id bigint generated always as identity primary key,
    name text collate "C" not null constraint bucket_name_key unique,
    owner uuid not null,
    config_epoch bigint not null default 1,
    versioning smallint not null default 0 check (versioning between 0 and 2),
    created timestamptz not null default clock_timestamp(),
    tags text
);
comment on table bucket is 'A deleted and recreated bucket has another id.';
comment on column bucket.config_epoch is 'Counts configuration changes; a commit names the one it was decided by.';
comment on column bucket.versioning is '0 off (never enabled), 1 enabled, 2 suspended.';
comment on column bucket.tags is 'As of object. No write is decided by them, so they do not count in config_epoch.';
create index bucket_by_owner on bucket (owner, name);

create table object (
    bucket_id bigint not null,
    key bytea not null check (octet_length(key) between 1 and 1024),
    seq bigint not null,
    version uuid,
    marker boolean not null,
    modified timestamptz not null,
    body uuid,
    size bigint not null default 0,
    etag text not null default '',
    storage_class text not null default 'STANDARD',
    headers text not null default '{}',
    checksum_algorithm smallint,
    checksum_kind smallint,
    checksum bytea,
    parts text,
    tags text,
    primary key (bucket_id, key)
) with (fillfactor = 85);
comment on table object is
    'One row per key: the current version, or its delete marker. The fill factor lets an overwrite stay in its page.';
comment on column object.seq is 'Orders the versions of a key; taken under the lock of the key.';
comment on column object.version is 'Null: the null version.';
comment on column object.modified is 'Last-Modified: grows with seq, whatever the clock does.';
comment on column object.body is 'Null for delete markers and empty objects.';
comment on column object.headers is 'Stored headers as JSON text; not jsonb, which can''t hold every string.';
comment on column object.parts is 'The parts of a multipart object as JSON text; null for others. Never read by lists.';
comment on column object.tags is 'Tags as a JSON object in text; null: none. Never read by lists.';
-- LIST reads this one only, so that a bucket full of markers lists as fast as an empty one.
create index object_live on object (bucket_id, key) where not marker;

create table noncurrent (like object including defaults including comments);
comment on table noncurrent is 'The versions that are not current, with the columns of object in the same order.';
create unique index noncurrent_by_seq on noncurrent (bucket_id, key, seq desc);
-- Finds a version by id, and keeps a key to one null version.
create unique index noncurrent_by_version on noncurrent (bucket_id, key, version) nulls not distinct;

create table body (
    id uuid primary key,
    refs integer not null,
    freed_at timestamptz,
    constraint body_freed_without_refs check ((refs = 0) = (freed_at is not null)),
    constraint body_refs_not_negative check (refs >= 0)
) with (fillfactor = 90);
comment on table body is
    'What is counted and shared: the bytes of versions and parts. A freed body waits for collection and is never revived.';
-- This index is the queue of collection.
create index body_freed on body (freed_at) where freed_at is not null;

create table placement (
    id integer generated always as identity primary key,
    nodes smallint[] not null constraint placement_nodes_key unique,
    constraint placement_of_six check (cardinality(nodes) = 6)
);
comment on table placement is 'Each ordered list of six node numbers that any extent has or had, once.';
-- Which extents have a chunk on a node: nodes @> array[n] here, then extent_by_placement.
create index placement_by_node on placement using gin (nodes);

create table extent (
    id uuid primary key,
    body_id uuid not null,
    start bigint not null check (start >= 0),
    size bigint not null check (size > 0),
    scheme smallint not null check (scheme between 1 and 3),
    missing smallint not null default 0 check (missing between 0 and 63),
    placement_id integer not null,
    moved timestamptz
);
comment on table extent is 'The extents of each body, by start, without gaps.';
comment on column extent.missing is 'Chunks known to be missing or damaged, one bit by index.';
comment on column extent.moved is
    'When a chunk of it was last placed elsewhere: the copy left behind is kept for reads that began before. Null: never.';
create unique index extent_by_body on extent (body_id, start);
create index extent_by_placement on extent (placement_id, id);
-- Those that spare less than 4+2 does, which are few: what the removal of a node would lose is
-- counted without reading all that it has.
create index extent_not_four_two on extent (placement_id) where scheme <> 1;

-- Placements that crowd two chunks on a node, which soon none are: they are spread out again.
create function is_crowded_v1(p_nodes smallint[]) returns boolean
language sql immutable parallel safe as $$
    select count(distinct node) < 6 from unnest(p_nodes) node;
$$;
create index placement_crowded on placement (id) where is_crowded_v1(nodes);

-- The lease under which an extent was first written: the upper half of its id.
create function lease_of_v1(p_extent uuid) returns bigint language sql immutable parallel safe as $$
    select ('x' || left(replace(p_extent::text, '-', ''), 16))::bit(64)::bigint;
$$;

-- How many more chunks an extent can lose: below 0 it can't be read until some come back.
create function spare_v1(p_scheme smallint, p_missing smallint) returns integer
language sql immutable parallel safe as $$
    select case p_scheme when 1 then 2 when 2 then 1 else 0 end
        - bit_count(p_missing::integer::bit(6))::integer;
$$;
-- This index is the queue of heal: at risk first.
create index extent_to_heal on extent (spare_v1(scheme, missing), id) where missing <> 0;

-- Locks the bucket's row for a write that was decided by p_epoch; answers the versioning state.
create function lock_bucket_v1(p_bucket bigint, p_epoch bigint) returns smallint
language plpgsql volatile as $$
declare
    v_versioning smallint;
    v_epoch bigint;
begin
    select b.versioning, b.config_epoch into v_versioning, v_epoch
        from bucket b where b.id = p_bucket for share;
    if not found then
        raise exception 'no such bucket' using errcode = 'SX003';
    end if;
    if v_epoch <> p_epoch then
        raise exception 'the bucket has changed' using errcode = 'SX002';
    end if;
    return v_versioning;
end $$;

create function lock_lease_v1(p_lease bigint) returns void language plpgsql volatile as $$
begin
    perform 1 from lease l where l.id = p_lease for key share;
    if not found then
        raise exception 'the lease has ended' using errcode = 'SX001';
    end if;
end $$;

-- Counts one reference of each body down.
create function free_bodies_v1(p_bodies uuid[]) returns void language plpgsql volatile as $$
begin
    if cardinality(p_bodies) > 1 then
        perform 1 from body b where b.id = any (p_bodies) order by b.id for no key update;
    end if;
    update body b set refs = b.refs - 1,
        freed_at = case when b.refs = 1 then clock_timestamp() end
        where b.id = any (p_bodies);
end $$;

-- Makes p_new the head of its key, under the lock of the key. Sets seq, version and modified;
-- p_version is used when the bucket keeps versions. What is replaced is freed or kept as
-- noncurrent by the versioning state.
create function put_head_v1(p_new object, p_versioning smallint, p_version uuid) returns object
language plpgsql volatile as $$
declare
    v_old object;
    v_freed uuid;
begin
    select o.* into v_old from object o where o.bucket_id = p_new.bucket_id and o.key = p_new.key;
    p_new.version := case when p_versioning = 1 then p_version end;
    p_new.seq := coalesce(v_old.seq, 0) + 1;
    p_new.modified := greatest(clock_timestamp(), v_old.modified + interval '1 microsecond');
    if v_old.key is null then
        insert into object select p_new.*;
        return p_new;
    end if;
    if p_new.version is null and v_old.version is null then
        v_freed := v_old.body;
    else
        if p_new.version is null then
            delete from noncurrent n where n.bucket_id = p_new.bucket_id and n.key = p_new.key
                and n.version is null returning n.body into v_freed;
        end if;
        insert into noncurrent select v_old.*;
    end if;
    update object o set seq = p_new.seq, version = p_new.version, marker = p_new.marker,
        modified = p_new.modified, body = p_new.body, size = p_new.size, etag = p_new.etag,
        storage_class = p_new.storage_class, headers = p_new.headers,
        checksum_algorithm = p_new.checksum_algorithm, checksum_kind = p_new.checksum_kind,
        checksum = p_new.checksum, parts = p_new.parts, tags = p_new.tags
        where o.bucket_id = p_new.bucket_id and o.key = p_new.key;
    if v_freed is not null then
        perform free_bodies_v1(array[v_freed]);
    end if;
    return p_new;
end $$;

-- Whether a write may replace the current version: 'done', or the outcome that says why not.
create function check_condition_v1(p_bucket bigint, p_key bytea, p_if_match text, p_if_none_match text)
returns text language plpgsql volatile as $$
declare
    v_etag text;
begin
    if p_if_match is null and p_if_none_match is null then
        return 'done';
    end if;
    select o.etag into v_etag from object o
        where o.bucket_id = p_bucket and o.key = p_key and not o.marker;
    if p_if_match is not null and v_etag is null then
        return 'no_such_key';
    end if;
    if p_if_match <> '*' and v_etag <> p_if_match then
        return 'precondition_failed';
    end if;
    if v_etag is not null and (p_if_none_match = '*' or p_if_none_match = v_etag) then
        return 'precondition_failed';
    end if;
    return 'done';
end $$;

-- Whether the current version may be deleted, or whatever version a delete names while it is the
-- current one: 'done', or the outcome that says why not. Size and time (to the second, which is all
-- that clients see) hold where the key is absent; a delete marker has the size 0 and no ETag.
create function check_delete_v1(p_bucket bigint, p_key bytea, p_if_match text, p_if_size bigint,
    p_if_modified timestamptz)
returns text language plpgsql volatile as $$
declare
    v_head object;
begin
    if p_if_match is null and p_if_size is null and p_if_modified is null then
        return 'done';
    end if;
    select o.* into v_head from object o where o.bucket_id = p_bucket and o.key = p_key;
    if v_head.key is null then
        return case when p_if_match is null then 'done' else 'no_such_key' end;
    end if;
    if p_if_match is not null
        and (v_head.marker or (p_if_match <> '*' and p_if_match <> v_head.etag)) then
        return 'precondition_failed';
    end if;
    if p_if_size <> v_head.size
        or date_trunc('second', p_if_modified) <> date_trunc('second', v_head.modified) then
        return 'precondition_failed';
    end if;
    return 'done';
end $$;

-- Takes one more reference of the body of an existing version, together with the lock of the body
-- that the write will free, in id order. False: it is no longer referenced.
create function share_body_v1(p_body uuid, p_bucket bigint, p_key bytea) returns boolean
language plpgsql volatile as $$
begin
    perform 1 from body b where b.id = p_body
        or b.id = (select o.body from object o where o.bucket_id = p_bucket and o.key = p_key)
        or b.id = (select n.body from noncurrent n
            where n.bucket_id = p_bucket and n.key = p_key and n.version is null)
        order by b.id for no key update;
    update body b set refs = b.refs + 1 where b.id = p_body and b.refs > 0;
    return found;
end $$;

-- The ids of the placements in p_nodes, which holds six node numbers for each. Those that are new,
-- which soon none are, are stored in one order, so that two calls can't wait for each other.
create function placements_v1(p_nodes smallint[]) returns integer[]
language plpgsql volatile as $$
declare
    v_ids integer[];
begin
    loop
        -- Not a join: each is one look into the index, however many there are.
        v_ids := array(
            select (select p.id from placement p where p.nodes = p_nodes[i * 6 - 5 : i * 6])
            from generate_series(1, cardinality(p_nodes) / 6) i);
        exit when array_position(v_ids, null) is null;
        insert into placement (nodes)
            select distinct p_nodes[i * 6 - 5 : i * 6] as nodes
            from generate_subscripts(v_ids, 1) i where v_ids[i] is null order by nodes
            on conflict do nothing;
    end loop;
    return v_ids;
end $$;

-- Stores the bodies p_stored with their extents, which stand in arrays together with those of
-- others. p_nodes holds six node numbers for each extent.
create function insert_bodies_v1(p_stored uuid[], p_bodies uuid[], p_ids uuid[], p_starts bigint[],
    p_sizes bigint[], p_schemes smallint[], p_missing smallint[], p_nodes smallint[])
returns void language plpgsql volatile as $$
declare
    v_placements integer[] := placements_v1(p_nodes);
begin
    insert into body (id, refs) select b, 1 from unnest(p_stored) b;
    insert into extent (id, body_id, start, size, scheme, missing, placement_id)
        select p_ids[i], p_bodies[i], p_starts[i], p_sizes[i], p_schemes[i], p_missing[i],
            v_placements[i]
        from generate_subscripts(p_bodies, 1) i where p_bodies[i] = any (p_stored);
end $$;

-- Makes versions visible: one item per array element, at most 64, of distinct keys of one bucket.
-- p_extents_body says to which item's body an extent belongs.
create function commit_v1(p_lease bigint, p_bucket bigint, p_epoch bigint,
    p_keys bytea[], p_locks bigint[], p_versions uuid[], p_bodies uuid[], p_shared boolean[],
    p_sizes bigint[], p_etags text[], p_classes text[], p_headers text[],
    p_checksum_algorithms smallint[], p_checksum_kinds smallint[], p_checksums bytea[],
    p_parts text[], p_tags text[], p_if_match text[], p_if_none_match text[],
    p_extents_body uuid[], p_extents_id uuid[], p_extents_start bigint[], p_extents_size bigint[],
    p_extents_scheme smallint[], p_extents_missing smallint[], p_extents_nodes smallint[])
returns table (ord integer, outcome text, version uuid, modified timestamptz)
language plpgsql volatile
set plan_cache_mode = force_generic_plan set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    v_versioning smallint;
    v_now timestamptz;
    v_fresh integer[];
    v_stored uuid[] := '{}';
    v_new object;
begin
    perform lock_lease_v1(p_lease);
    v_versioning := lock_bucket_v1(p_bucket, p_epoch);
    perform pg_advisory_xact_lock(l) from unnest(p_locks) l order by l;
    -- Keys without any version: nothing to compare with, to keep or to free.
    v_now := clock_timestamp();
    with fresh as (
        insert into object (bucket_id, key, seq, version, marker, modified, body, size, etag,
                storage_class, headers, checksum_algorithm, checksum_kind, checksum, parts,
                tags)
            select p_bucket, p_keys[i], 1, case when v_versioning = 1 then p_versions[i] end, false,
                v_now, p_bodies[i], p_sizes[i], p_etags[i], p_classes[i], p_headers[i],
                p_checksum_algorithms[i], p_checksum_kinds[i], p_checksums[i], p_parts[i],
                p_tags[i]
            from generate_subscripts(p_keys, 1) i
            where p_if_match[i] is null and not p_shared[i]
            on conflict do nothing returning key)
        select coalesce(array_agg(array_position(p_keys, f.key)), '{}') into v_fresh from fresh f;
    for i in 1 .. cardinality(p_keys) loop
        ord := i;
        version := null;
        modified := null;
        if i = any (v_fresh) then
            outcome := 'done';
            version := case when v_versioning = 1 then p_versions[i] end;
            modified := v_now;
        else
            outcome := check_condition_v1(p_bucket, p_keys[i], p_if_match[i], p_if_none_match[i]);
            if outcome = 'done' and p_shared[i]
                and not share_body_v1(p_bodies[i], p_bucket, p_keys[i]) then
                outcome := 'source_gone';
            end if;
            if outcome = 'done' then
                v_new := row(p_bucket, p_keys[i], 0, null, false, null, p_bodies[i], p_sizes[i],
                    p_etags[i], p_classes[i], p_headers[i], p_checksum_algorithms[i],
                    p_checksum_kinds[i], p_checksums[i], p_parts[i], p_tags[i])::object;
                v_new := put_head_v1(v_new, v_versioning, p_versions[i]);
                version := v_new.version;
                modified := v_new.modified;
            end if;
        end if;
        if outcome = 'done' and p_bodies[i] is not null and not p_shared[i] then
            v_stored := v_stored || p_bodies[i];
        end if;
        return next;
    end loop;
    if cardinality(v_stored) > 0 then
        perform insert_bodies_v1(v_stored, p_extents_body, p_extents_id, p_extents_start,
            p_extents_size, p_extents_scheme, p_extents_missing, p_extents_nodes);
    end if;
end $$;

-- Makes the newest noncurrent version of a key its head again, after the head was deleted.
create function promote_v1(p_bucket bigint, p_key bytea) returns void
language plpgsql volatile as $$
declare
    v_next noncurrent;
begin
    delete from noncurrent n where n.bucket_id = p_bucket and n.key = p_key and n.seq = (
            select m.seq from noncurrent m where m.bucket_id = p_bucket and m.key = p_key
            order by m.seq desc limit 1)
        returning n.* into v_next;
    if found then
        insert into object select v_next.*;
    end if;
end $$;

-- Removes one version of a key under the lock of the key. Answers no row when there is none.
create function remove_version_v1(p_bucket bigint, p_key bytea, p_version uuid)
returns table (was_marker boolean) language plpgsql volatile as $$
declare
    v_body uuid;
    v_marker boolean;
begin
    delete from object o where o.bucket_id = p_bucket and o.key = p_key
        and o.version is not distinct from p_version
        returning o.body, o.marker into v_body, v_marker;
    if found then
        perform promote_v1(p_bucket, p_key);
    elsif p_version is null then
        delete from noncurrent n where n.bucket_id = p_bucket and n.key = p_key
            and n.version is null returning n.body, n.marker into v_body, v_marker;
    else
        delete from noncurrent n where n.bucket_id = p_bucket and n.key = p_key
            and n.version = p_version returning n.body, n.marker into v_body, v_marker;
    end if;
    if v_marker is null then
        return;
    end if;
    if v_body is not null then
        perform free_bodies_v1(array[v_body]);
    end if;
    was_marker := v_marker;
    return next;
end $$;

-- Deletes as S3 does. With p_named the version p_version (null: the null version); without it, by
-- the versioning state, the null version or nothing but a marker with the id p_marker on top.
create function delete_v1(p_bucket bigint, p_epoch bigint, p_key bytea, p_lock bigint,
    p_named boolean, p_version uuid, p_marker uuid, p_if_match text, p_if_size bigint,
    p_if_modified timestamptz)
returns table (outcome text, version uuid, was_marker boolean)
language plpgsql volatile
set plan_cache_mode = force_generic_plan set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    v_versioning smallint;
    v_new object;
begin
    v_versioning := lock_bucket_v1(p_bucket, p_epoch);
    perform pg_advisory_xact_lock(p_lock);
    was_marker := false;
    outcome := check_delete_v1(p_bucket, p_key, p_if_match, p_if_size, p_if_modified);
    if outcome <> 'done' then
        return next;
        return;
    end if;
    if not p_named and v_versioning <> 0 then
        v_new := row(p_bucket, p_key, 0, null, true, null, null, 0, '', 'STANDARD', '{}',
            null, null, null, null, null)::object;
        v_new := put_head_v1(v_new, v_versioning, p_marker);
        outcome := 'marker_added';
        version := v_new.version;
    else
        version := case when p_named then p_version end;
        select r.was_marker into was_marker from remove_version_v1(p_bucket, p_key, version) r;
        outcome := case when found then 'deleted' else 'absent' end;
    end if;
    return next;
end $$;

-- Sets the tags of the current version, or with p_named of the version p_version (null: the null
-- version). The lock of the key keeps them from a row that is being moved to noncurrent.
create function set_tags_v1(p_bucket bigint, p_key bytea, p_lock bigint, p_named boolean,
    p_version uuid, p_tags text)
returns table (outcome text, version uuid, modified timestamptz)
language plpgsql volatile
set plan_cache_mode = force_generic_plan set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    v_had record;
begin
    perform pg_advisory_xact_lock(p_lock);
    select v.* into v_had from (
        select true as is_current, o.seq, o.version, o.marker, o.modified from object o
        where o.bucket_id = p_bucket and o.key = p_key
            and (not p_named or o.version is not distinct from p_version)
        union all
        select false, n.seq, n.version, n.marker, n.modified from noncurrent n
        where p_named and n.bucket_id = p_bucket and n.key = p_key and n.version = p_version
        union all
        select false, n.seq, n.version, n.marker, n.modified from noncurrent n
        where p_named and p_version is null and n.bucket_id = p_bucket and n.key = p_key
            and n.version is null) v;
    if not found then
        outcome := 'absent';
        return next;
        return;
    end if;
    outcome := case when v_had.marker then 'marker' else 'done' end;
    version := v_had.version;
    modified := v_had.modified;
    if v_had.marker then
        return next;
        return;
    end if;
    if v_had.is_current then
        update object o set tags = p_tags where o.bucket_id = p_bucket and o.key = p_key;
    else
        update noncurrent n set tags = p_tags
            where n.bucket_id = p_bucket and n.key = p_key and n.seq = v_had.seq;
    end if;
    return next;
end $$;
