-- Buckets, versions, bodies, extents, uploads; the lease rows that commits lock; and the functions
-- that are the transactions over them.
--
-- Rules that hold for everything here:
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
    created timestamptz not null default clock_timestamp()
);
comment on table bucket is 'A deleted and recreated bucket has another id.';
comment on column bucket.config_epoch is 'Counts configuration changes; a commit names the one it was decided by.';
comment on column bucket.versioning is '0 off (never enabled), 1 enabled, 2 suspended.';
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
    placement_id integer not null
);
comment on table extent is 'The extents of each body, by start, without gaps.';
comment on column extent.missing is 'Chunks known to be missing or damaged, one bit by index.';
create unique index extent_by_body on extent (body_id, start);
create index extent_by_placement on extent (placement_id, id);
-- This index is the queue of heal.
create index extent_to_heal on extent (id) where missing <> 0;

create table upload (
    id uuid primary key,
    bucket_id bigint not null,
    key bytea not null check (octet_length(key) between 1 and 1024),
    started timestamptz not null,
    initiator uuid not null,
    storage_class text not null,
    headers text not null,
    checksum_algorithm smallint,
    checksum_kind smallint,
    completed_at timestamptz,
    parts_hash bytea,
    etag text,
    version uuid,
    modified timestamptz
);
comment on table upload is
    'Multipart uploads under way, and for a day those completed, so that a repeated completion gets the same answer.';
comment on column upload.id is 'Microseconds of its start, then 64 random bits: ids of a key order by start.';
comment on column upload.parts_hash is 'SHA-256 of the list of parts that completed it.';
create index upload_open on upload (bucket_id, key, id) where completed_at is null;
create index upload_by_start on upload (id) where completed_at is null;
create index upload_completed on upload (completed_at) where completed_at is not null;

create table part (
    upload_id uuid not null,
    number integer not null check (number between 1 and 10000),
    size bigint not null,
    etag text not null,
    checksum_algorithm smallint,
    checksum_kind smallint,
    checksum bytea,
    body uuid,
    modified timestamptz not null,
    primary key (upload_id, number)
);
comment on table part is 'The parts of uploads under way. The body of a part is its own alone; null when the part is empty.';

-- The smallest string above every string that begins with p. UTF-8 has no byte 255, and p is
-- never empty where this is called.
create function prefix_end_v1(p bytea) returns bytea language sql immutable strict parallel safe as $$
    select set_byte(p, octet_length(p) - 1, get_byte(p, octet_length(p) - 1) + 1)
$$;

-- What a key is rolled up to in a list: its bytes up to and with the first delimiter after the
-- prefix. Null: it is listed itself.
create function common_prefix_v1(p_key bytea, p_prefix bytea, p_delimiter bytea) returns bytea
language sql immutable parallel safe as $$
    select case when position(p_delimiter in substring(p_key from octet_length(p_prefix) + 1)) > 0
        then substring(p_key for octet_length(p_prefix) + octet_length(p_delimiter) - 1
            + position(p_delimiter in substring(p_key from octet_length(p_prefix) + 1)))
    end
$$;

-- The first key that a page may hold: behind p_after, and behind all that rolls up with it.
create function list_from_v1(p_prefix bytea, p_delimiter bytea, p_after bytea) returns bytea
language plpgsql immutable as $$
declare
    v_common bytea;
begin
    if p_after is null or p_after < p_prefix then
        return p_prefix;
    end if;
    if p_delimiter is not null
        and substring(p_after for octet_length(p_prefix)) = p_prefix then
        v_common := common_prefix_v1(p_after, p_prefix, p_delimiter);
    end if;
    return case when v_common is null then p_after || '\x00'::bytea
        else prefix_end_v1(v_common) end;
end $$;

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
        checksum = p_new.checksum, parts = p_new.parts
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

-- Inserts the extents of one body out of arrays that may hold those of several. p_nodes holds six
-- node numbers for each extent.
create function insert_extents_v1(p_body uuid, p_bodies uuid[], p_ids uuid[], p_starts bigint[],
    p_sizes bigint[], p_schemes smallint[], p_missing smallint[], p_nodes smallint[])
returns void language plpgsql volatile as $$
begin
    insert into placement (nodes)
        select distinct p_nodes[i * 6 - 5 : i * 6] as nodes
        from generate_subscripts(p_bodies, 1) i
        where p_bodies[i] = p_body
            and not exists (select from placement p where p.nodes = p_nodes[i * 6 - 5 : i * 6])
        order by nodes
        on conflict do nothing;
    insert into extent (id, body_id, start, size, scheme, missing, placement_id)
        select p_ids[i], p_body, p_starts[i], p_sizes[i], p_schemes[i], p_missing[i], p.id
        from generate_subscripts(p_bodies, 1) i
        join placement p on p.nodes = p_nodes[i * 6 - 5 : i * 6]
        where p_bodies[i] = p_body;
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

-- Makes versions visible: one item per array element, at most 64, of distinct keys of one bucket.
-- p_extents_body says to which item's body an extent belongs.
create function commit_v1(p_lease bigint, p_bucket bigint, p_epoch bigint,
    p_keys bytea[], p_locks bigint[], p_versions uuid[], p_bodies uuid[], p_shared boolean[],
    p_sizes bigint[], p_etags text[], p_classes text[], p_headers text[],
    p_checksum_algorithms smallint[], p_checksum_kinds smallint[], p_checksums bytea[],
    p_parts text[], p_if_match text[], p_if_none_match text[],
    p_extents_body uuid[], p_extents_id uuid[], p_extents_start bigint[], p_extents_size bigint[],
    p_extents_scheme smallint[], p_extents_missing smallint[], p_extents_nodes smallint[])
returns table (ord integer, outcome text, version uuid, modified timestamptz)
language plpgsql volatile
set plan_cache_mode = force_generic_plan set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    v_versioning smallint;
    v_new object;
begin
    perform lock_lease_v1(p_lease);
    v_versioning := lock_bucket_v1(p_bucket, p_epoch);
    perform pg_advisory_xact_lock(l) from unnest(p_locks) l order by l;
    for i in 1 .. cardinality(p_keys) loop
        ord := i;
        version := null;
        modified := null;
        outcome := check_condition_v1(p_bucket, p_keys[i], p_if_match[i], p_if_none_match[i]);
        if outcome = 'done' and p_shared[i]
            and not share_body_v1(p_bodies[i], p_bucket, p_keys[i]) then
            outcome := 'source_gone';
        end if;
        if outcome = 'done' then
            if p_bodies[i] is not null and not p_shared[i] then
                insert into body (id, refs) values (p_bodies[i], 1);
                perform insert_extents_v1(p_bodies[i], p_extents_body, p_extents_id,
                    p_extents_start, p_extents_size, p_extents_scheme, p_extents_missing,
                    p_extents_nodes);
            end if;
            v_new := row(p_bucket, p_keys[i], 0, null, false, null, p_bodies[i], p_sizes[i],
                p_etags[i], p_classes[i], p_headers[i], p_checksum_algorithms[i],
                p_checksum_kinds[i], p_checksums[i], p_parts[i])::object;
            v_new := put_head_v1(v_new, v_versioning, p_versions[i]);
            version := v_new.version;
            modified := v_new.modified;
        end if;
        return next;
    end loop;
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
    p_named boolean, p_version uuid, p_marker uuid, p_if_match text)
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
    if check_condition_v1(p_bucket, p_key, p_if_match, null) <> 'done' then
        outcome := 'precondition_failed';
    elsif not p_named and v_versioning <> 0 then
        v_new := row(p_bucket, p_key, 0, null, true, null, null, 0, '', 'STANDARD', '{}',
            null, null, null, null)::object;
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

-- Frees what uploads hold and forgets them. Their rows are locked FOR UPDATE by the caller.
create function drop_uploads_v1(p_uploads uuid[]) returns void language plpgsql volatile as $$
begin
    perform free_bodies_v1(array(
        select p.body from part p where p.upload_id = any (p_uploads) and p.body is not null));
    delete from part p where p.upload_id = any (p_uploads);
    delete from upload u where u.id = any (p_uploads);
end $$;

-- Deletes a bucket without versions; uploads under way are given up with it, as Amazon does.
create function delete_bucket_v1(p_bucket bigint) returns void
language plpgsql volatile as $$
declare
    v_uploads uuid[];
begin
    perform 1 from bucket b where b.id = p_bucket for update;
    if not found then
        raise exception 'no such bucket' using errcode = 'SX003';
    end if;
    if exists (select from object o where o.bucket_id = p_bucket)
        or exists (select from noncurrent n where n.bucket_id = p_bucket) then
        raise exception 'the bucket is not empty' using errcode = 'SX004';
    end if;
    v_uploads := array(
        select u.id from upload u where u.bucket_id = p_bucket order by u.id for update);
    perform drop_uploads_v1(v_uploads);
    delete from bucket b where b.id = p_bucket;
end $$;

-- Stores a part, replacing an older one of its number; the one that finishes last stays.
create function commit_part_v1(p_lease bigint, p_upload uuid, p_number integer, p_size bigint,
    p_etag text, p_checksum_algorithm smallint, p_checksum_kind smallint, p_checksum bytea,
    p_body uuid, p_extents_id uuid[], p_extents_start bigint[], p_extents_size bigint[],
    p_extents_scheme smallint[], p_extents_missing smallint[], p_extents_nodes smallint[])
returns timestamptz
language plpgsql volatile
set plan_cache_mode = force_generic_plan set lock_timeout = '2s'
as $$
declare
    v_old uuid;
    v_modified timestamptz;
begin
    perform lock_lease_v1(p_lease);
    perform 1 from upload u where u.id = p_upload and u.completed_at is null for key share;
    if not found then
        return null;
    end if;
    if p_body is not null then
        insert into body (id, refs) values (p_body, 1);
        perform insert_extents_v1(p_body, array_fill(p_body, array[cardinality(p_extents_id)]),
            p_extents_id, p_extents_start, p_extents_size, p_extents_scheme, p_extents_missing,
            p_extents_nodes);
    end if;
    v_modified := clock_timestamp();
    insert into part values (p_upload, p_number, p_size, p_etag, p_checksum_algorithm,
        p_checksum_kind, p_checksum, p_body, v_modified) on conflict do nothing;
    if found then
        return v_modified;
    end if;
    select p.body into v_old from part p
        where p.upload_id = p_upload and p.number = p_number for update;
    v_modified := clock_timestamp();
    update part p set size = p_size, etag = p_etag, checksum_algorithm = p_checksum_algorithm,
        checksum_kind = p_checksum_kind, checksum = p_checksum, body = p_body,
        modified = v_modified
        where p.upload_id = p_upload and p.number = p_number;
    if v_old is not null then
        perform free_bodies_v1(array[v_old]);
    end if;
    return v_modified;
end $$;

-- Moves the extents of the listed parts into one body, in the order of the list, and frees the
-- parts that were not listed. Moves no bytes.
create function join_parts_v1(p_upload uuid, p_numbers integer[], p_body uuid) returns void
language plpgsql volatile as $$
begin
    perform free_bodies_v1(array(
        select p.body from part p where p.upload_id = p_upload and p.body is not null
            and p.number <> all (p_numbers)));
    if p_body is not null then
        insert into body (id, refs) values (p_body, 1);
        update extent e set body_id = p_body, start = e.start + j.start
            from (select p.body, sum(p.size) over (order by l.ord) - p.size as start
                from unnest(p_numbers) with ordinality l (number, ord)
                join part p on p.upload_id = p_upload and p.number = l.number) j
            where e.body_id = j.body;
    end if;
    delete from body b using part p
        where p.upload_id = p_upload and p.number = any (p_numbers) and b.id = p.body;
    delete from part p where p.upload_id = p_upload;
end $$;

-- Makes the object of an upload visible. The same list again gets the same answer.
create function complete_v1(p_upload uuid, p_bucket bigint, p_epoch bigint, p_key bytea,
    p_lock bigint, p_numbers integer[], p_etags text[], p_hash bytea, p_version uuid, p_body uuid,
    p_size bigint, p_etag text, p_class text, p_headers text, p_checksum_algorithm smallint,
    p_checksum_kind smallint, p_checksum bytea, p_parts text, p_if_match text,
    p_if_none_match text)
returns table (outcome text, etag text, version uuid, modified timestamptz)
language plpgsql volatile
set plan_cache_mode = force_generic_plan set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    v_versioning smallint;
    v_upload upload;
    v_new object;
begin
    v_versioning := lock_bucket_v1(p_bucket, p_epoch);
    select u.* into v_upload from upload u
        where u.id = p_upload and u.bucket_id = p_bucket and u.key = p_key for update;
    if not found or (v_upload.completed_at is not null and v_upload.parts_hash <> p_hash) then
        return query select 'no_such_upload'::text, null::text, null::uuid, null::timestamptz;
        return;
    end if;
    if v_upload.completed_at is not null then
        return query select 'done'::text, v_upload.etag, v_upload.version, v_upload.modified;
        return;
    end if;
    perform pg_advisory_xact_lock(p_lock);
    outcome := check_condition_v1(p_bucket, p_key, p_if_match, p_if_none_match);
    if outcome = 'done' and not (
            select count(*) = cardinality(p_numbers) and coalesce(sum(p.size), -1) = p_size
            from unnest(p_numbers, p_etags) l (number, etag)
            join part p on p.upload_id = p_upload and p.number = l.number and p.etag = l.etag) then
        outcome := 'parts_changed';
    end if;
    if outcome = 'done' then
        perform join_parts_v1(p_upload, p_numbers, p_body);
        v_new := row(p_bucket, p_key, 0, null, false, null, p_body, p_size, p_etag, p_class,
            p_headers, p_checksum_algorithm, p_checksum_kind, p_checksum, p_parts)::object;
        v_new := put_head_v1(v_new, v_versioning, p_version);
        etag := p_etag;
        version := v_new.version;
        modified := v_new.modified;
        update upload u set completed_at = clock_timestamp(), parts_hash = p_hash, etag = p_etag,
            version = v_new.version, modified = v_new.modified where u.id = p_upload;
    end if;
    return next;
end $$;

create function abort_upload_v1(p_bucket bigint, p_key bytea, p_upload uuid) returns boolean
language plpgsql volatile as $$
begin
    perform 1 from upload u where u.id = p_upload and u.bucket_id = p_bucket and u.key = p_key
        and u.completed_at is null for update;
    if not found then
        return false;
    end if;
    perform drop_uploads_v1(array[p_upload]);
    return true;
end $$;

-- Gives uploads up that had no activity for p_idle, and forgets completed ones after p_remember.
-- Whether a part has come is looked up again once the rows are locked.
create function expire_uploads_v1(p_idle interval, p_remember interval, p_limit integer)
returns bigint language plpgsql volatile as $$
declare
    v_before timestamptz := clock_timestamp() - p_idle;
    v_uploads uuid[];
begin
    v_uploads := array(
        select u.id from upload u where u.completed_at is null and u.started < v_before
            and not exists (select from part p where p.upload_id = u.id and p.modified >= v_before)
        order by u.id limit p_limit for update skip locked);
    v_uploads := array(
        select id from unnest(v_uploads) id where not exists (
            select from part p where p.upload_id = id and p.modified >= v_before));
    perform drop_uploads_v1(v_uploads);
    delete from upload u where u.id in (
        select c.id from upload c where c.completed_at < clock_timestamp() - p_remember
        order by c.completed_at limit p_limit for update skip locked);
    return cardinality(v_uploads);
end $$;

-- A page of current versions without markers: at most p_limit rows, each an entry or, with
-- common_prefix set, a common prefix. The scan runs over the index, and on meeting a common
-- prefix seeks to its end, so that the cost is that of what is returned. Headers and parts are
-- left out: they may be long, and no list shows them.
create function list_objects_v1(p_bucket bigint, p_prefix bytea, p_delimiter bytea, p_after bytea,
    p_limit integer)
returns table (common_prefix bytea, entry object)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_from bytea := list_from_v1(p_prefix, p_delimiter, p_after);
    v_end bytea := case when p_prefix = '' then '\xff'::bytea else prefix_end_v1(p_prefix) end;
    v_count integer := 0;
begin
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        for entry in
            select o.bucket_id, o.key, o.seq, o.version, o.marker, o.modified, o.body, o.size,
                o.etag, o.storage_class, '{}', o.checksum_algorithm, o.checksum_kind, o.checksum,
                null
            from object o where o.bucket_id = p_bucket
                and o.key >= v_from and o.key < v_end and not o.marker order by o.key
        loop
            common_prefix := case when p_delimiter is not null
                then common_prefix_v1(entry.key, p_prefix, p_delimiter) end;
            v_count := v_count + 1;
            return next;
            exit when common_prefix is not null or v_count >= p_limit;
        end loop;
        v_from := prefix_end_v1(common_prefix);
    end loop;
end $$;

-- A page of all versions and markers, newest first within a key. With p_after_named the page
-- continues within the key p_after, behind the version p_after_version (null: the null version).
create function list_versions_v1(p_bucket bigint, p_prefix bytea, p_delimiter bytea, p_after bytea,
    p_after_named boolean, p_after_version uuid, p_limit integer)
returns table (common_prefix bytea, is_current boolean, entry object)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_from bytea := list_from_v1(p_prefix, p_delimiter, p_after);
    v_end bytea := case when p_prefix = '' then '\xff'::bytea else prefix_end_v1(p_prefix) end;
    v_count integer := 0;
    v_row record;
    v_seq bigint;
begin
    if p_after_named and substring(p_after for octet_length(p_prefix)) = p_prefix
        and (p_delimiter is null or common_prefix_v1(p_after, p_prefix, p_delimiter) is null) then
        select v.seq into v_seq from (
            select o.seq, o.version from object o where o.bucket_id = p_bucket and o.key = p_after
            union all select n.seq, n.version from noncurrent n
            where n.bucket_id = p_bucket and n.key = p_after) v
            where v.version is not distinct from p_after_version;
        if v_seq is null then
            -- That version was deleted since the last page, as a client does that empties a
            -- bucket page by page. What is left of the key comes again.
            v_from := p_after;
        end if;
        for entry in
            select n.bucket_id, n.key, n.seq, n.version, n.marker, n.modified, n.body, n.size,
                n.etag, n.storage_class, '{}', n.checksum_algorithm, n.checksum_kind, n.checksum,
                null
            from noncurrent n
            where n.bucket_id = p_bucket and n.key = p_after and n.seq < v_seq
            order by n.seq desc limit p_limit
        loop
            is_current := false;
            v_count := v_count + 1;
            return next;
        end loop;
    end if;
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        -- Whatever is noncurrent has a head. A nested loop keeps the order of the heads; in it,
        -- an Append gives the head, then the others in the order of their index. Sorting a union
        -- instead would read the rest of the bucket for each common prefix.
        for v_row in
            select v.* from object o cross join lateral (
                (select true as is_current, o.bucket_id, o.key, o.seq, o.version, o.marker,
                    o.modified, o.body, o.size, o.etag, o.storage_class, o.checksum_algorithm,
                    o.checksum_kind, o.checksum)
                union all
                (select false, n.bucket_id, n.key, n.seq, n.version, n.marker,
                    n.modified, n.body, n.size, n.etag, n.storage_class, n.checksum_algorithm,
                    n.checksum_kind, n.checksum
                from noncurrent n where n.bucket_id = p_bucket and n.key = o.key
                order by n.seq desc)) v
            where o.bucket_id = p_bucket and o.key >= v_from and o.key < v_end
            order by o.key
        loop
            is_current := v_row.is_current;
            entry := row(v_row.bucket_id, v_row.key, v_row.seq, v_row.version, v_row.marker,
                v_row.modified, v_row.body, v_row.size, v_row.etag, v_row.storage_class, '{}',
                v_row.checksum_algorithm, v_row.checksum_kind, v_row.checksum, null)::object;
            common_prefix := case when p_delimiter is not null
                then common_prefix_v1(entry.key, p_prefix, p_delimiter) end;
            v_count := v_count + 1;
            return next;
            exit when common_prefix is not null or v_count >= p_limit;
        end loop;
        v_from := prefix_end_v1(common_prefix);
    end loop;
end $$;

-- A page of uploads under way by key, then start. With p_after_upload the page continues within
-- the key p_after; an id holds its start, so that upload itself may be gone.
create function list_uploads_v1(p_bucket bigint, p_prefix bytea, p_delimiter bytea, p_after bytea,
    p_after_upload uuid, p_limit integer)
returns table (common_prefix bytea, entry upload)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_from bytea := list_from_v1(p_prefix, p_delimiter, p_after);
    v_end bytea := case when p_prefix = '' then '\xff'::bytea else prefix_end_v1(p_prefix) end;
    v_after uuid := '00000000-0000-0000-0000-000000000000';
    v_count integer := 0;
begin
    if p_after_upload is not null and substring(p_after for octet_length(p_prefix)) = p_prefix
        and (p_delimiter is null or common_prefix_v1(p_after, p_prefix, p_delimiter) is null) then
        v_from := p_after;
        v_after := p_after_upload;
    end if;
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        for entry in select u.* from upload u where u.bucket_id = p_bucket and u.completed_at is null
            and (u.key, u.id) > (v_from, v_after) and u.key < v_end order by u.key, u.id
        loop
            common_prefix := case when p_delimiter is not null
                then common_prefix_v1(entry.key, p_prefix, p_delimiter) end;
            v_count := v_count + 1;
            return next;
            exit when common_prefix is not null or v_count >= p_limit;
        end loop;
        v_from := prefix_end_v1(common_prefix);
        v_after := '00000000-0000-0000-0000-000000000000';
    end loop;
end $$;
