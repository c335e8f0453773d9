-- Multipart uploads and their parts, and what deletes a bucket together with them.

create table upload (
    id uuid primary key,
    bucket_id bigint not null,
    key bytea not null check (octet_length(key) between 1 and 1024),
    started timestamptz not null,
    initiator uuid not null,
    storage_class text not null,
    headers text not null,
    tags text,
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

-- Whether an upload is idle is one look, however many parts it has.
create index part_by_activity on part (upload_id, modified);

create table deleted_bucket (id bigint primary key);
comment on table deleted_bucket is
    'Buckets deleted with uploads under way, until the uploads are given up page by page.';

-- Frees what uploads hold and forgets them. Their rows are locked FOR UPDATE by the caller.
create function drop_uploads_v1(p_uploads uuid[]) returns void language plpgsql volatile as $$
begin
    perform free_bodies_v1(array(
        select p.body from part p where p.upload_id = any (p_uploads) and p.body is not null));
    delete from part p where p.upload_id = any (p_uploads);
    delete from upload u where u.id = any (p_uploads);
end $$;

-- Deletes a bucket without versions, as Amazon does also while uploads are under way. From then on
-- nobody finds those; there may be any number of them, so that giving them up is left to
-- expire_uploads_v1.
create function delete_bucket_v1(p_bucket bigint) returns void
language plpgsql volatile as $$
begin
    perform 1 from bucket b where b.id = p_bucket for update;
    if not found then
        raise exception 'no such bucket' using errcode = 'SX003';
    end if;
    if exists (select from object o where o.bucket_id = p_bucket)
        or exists (select from noncurrent n where n.bucket_id = p_bucket) then
        raise exception 'the bucket is not empty' using errcode = 'SX004';
    end if;
    insert into deleted_bucket select p_bucket where exists (
        select from upload u where u.bucket_id = p_bucket and u.completed_at is null);
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
    perform 1 from upload u join bucket b on b.id = u.bucket_id
        where u.id = p_upload and u.completed_at is null for key share of u;
    if not found then
        return null;
    end if;
    if p_body is not null then
        perform insert_bodies_v1(array[p_body],
            array_fill(p_body, array[cardinality(p_extents_id)]), p_extents_id, p_extents_start,
            p_extents_size, p_extents_scheme, p_extents_missing, p_extents_nodes);
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
    p_checksum_kind smallint, p_checksum bytea, p_parts text, p_tags text, p_if_match text,
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
            p_headers, p_checksum_algorithm, p_checksum_kind, p_checksum, p_parts,
            p_tags)::object;
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

-- The uploads that expire_uploads_v1 may give up, locked: those of deleted buckets before those
-- that had no activity since p_before. Whether a part has come is looked up again once the rows
-- are locked.
create function expired_uploads_v1(p_before timestamptz, p_limit integer) returns uuid[]
language plpgsql volatile as $$
declare
    v_uploads uuid[];
begin
    v_uploads := array(
        select u.id from deleted_bucket d join upload u on u.bucket_id = d.id
        where u.completed_at is null limit p_limit for update of u skip locked);
    if cardinality(v_uploads) > 0 then
        return v_uploads;
    end if;
    v_uploads := array(
        select u.id from upload u where u.completed_at is null and u.started < p_before
            and not exists (select from part p where p.upload_id = u.id and p.modified >= p_before)
        order by u.id limit p_limit for update skip locked);
    return array(
        select id from unnest(v_uploads) id where not exists (
            select from part p where p.upload_id = id and p.modified >= p_before));
end $$;

-- Gives uploads up that had no activity for p_idle or whose bucket was deleted, and forgets
-- completed ones after p_remember: at most p_limit of each, and no more than 10 000 parts, which
-- the largest upload has. Says how many it gave up.
create function expire_uploads_v1(p_idle interval, p_remember interval, p_limit integer)
returns bigint language plpgsql volatile as $$
declare
    v_parts bigint := 10000;
    v_count bigint;
    v_upload uuid;
    v_uploads uuid[] := '{}';
begin
    foreach v_upload in array expired_uploads_v1(clock_timestamp() - p_idle, p_limit) loop
        v_count := (select count(*) from part p where p.upload_id = v_upload);
        exit when v_count > v_parts;
        v_parts := v_parts - v_count;
        v_uploads := v_uploads || v_upload;
    end loop;
    perform drop_uploads_v1(v_uploads);
    delete from deleted_bucket d where not exists (
        select from upload u where u.bucket_id = d.id and u.completed_at is null);
    delete from upload u where u.id in (
        select c.id from upload c where c.completed_at < clock_timestamp() - p_remember
        order by c.completed_at limit p_limit for update skip locked);
    return cardinality(v_uploads);
end $$;
