-- Lists: a page of entries and common prefixes, in one statement. A list scans an index, and on
-- meeting a common prefix seeks to its end, so that it costs what it returns. Its rows are flat:
-- taking a composite apart again costs more than reading it. Headers and parts of versions are left
-- out: they may be long, and no list shows them.

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

-- The keys that a page may hold, from first to below past: behind p_after, and behind all that
-- rolls up with it. With p_is_within the page continues within the key p_after, if that key is
-- listed by itself; what has that key, and is behind where the last page ended, comes before first.
create function list_range_v1(p_prefix bytea, p_delimiter bytea, p_after bytea, p_is_within boolean,
    out first bytea, out past bytea, out is_within boolean)
language plpgsql immutable as $$
declare
    v_common bytea;
begin
    past := case when p_prefix = '' then '\xff'::bytea else prefix_end_v1(p_prefix) end;
    is_within := false;
    if p_after is null or p_after < p_prefix then
        first := p_prefix;
        return;
    end if;
    if substring(p_after for octet_length(p_prefix)) = p_prefix then
        v_common := common_prefix_v1(p_after, p_prefix, p_delimiter);
        is_within := p_is_within and v_common is null;
    end if;
    first := case when v_common is null then p_after || '\x00'::bytea
        else prefix_end_v1(v_common) end;
end $$;

-- A page of current versions without markers: at most p_limit rows, each an entry or, with
-- common_prefix set, a common prefix.
create function list_objects_v1(p_bucket bigint, p_prefix bytea, p_delimiter bytea, p_after bytea,
    p_limit integer)
returns table (common_prefix bytea, is_current boolean, key bytea, seq bigint, version uuid,
    marker boolean, modified timestamptz, body uuid, size bigint, etag text, storage_class text,
    checksum_algorithm smallint, checksum_kind smallint, checksum bytea)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
declare
    v_range record := list_range_v1(p_prefix, p_delimiter, p_after, false);
    v_from bytea := v_range.first;
    v_count integer := 0;
begin
    if p_delimiter is null then
        return query select null::bytea, true, o.key, o.seq, o.version, false, o.modified, o.body,
                o.size, o.etag, o.storage_class, o.checksum_algorithm, o.checksum_kind, o.checksum
            from object o where o.bucket_id = p_bucket
                and o.key >= v_from and o.key < v_range.past and not o.marker
            order by o.key limit p_limit;
        return;
    end if;
    is_current := true;
    marker := false;
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        for key, seq, version, modified, body, size, etag, storage_class, checksum_algorithm,
                checksum_kind, checksum in
            select o.key, o.seq, o.version, o.modified, o.body, o.size, o.etag, o.storage_class,
                o.checksum_algorithm, o.checksum_kind, o.checksum
            from object o where o.bucket_id = p_bucket
                and o.key >= v_from and o.key < v_range.past and not o.marker order by o.key
        loop
            common_prefix := common_prefix_v1(key, p_prefix, p_delimiter);
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
returns table (common_prefix bytea, is_current boolean, key bytea, seq bigint, version uuid,
    marker boolean, modified timestamptz, body uuid, size bigint, etag text, storage_class text,
    checksum_algorithm smallint, checksum_kind smallint, checksum bytea)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
declare
    v_range record := list_range_v1(p_prefix, p_delimiter, p_after, p_after_named);
    v_from bytea := v_range.first;
    v_count integer := 0;
    v_seq bigint;
begin
    if v_range.is_within then
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
        return query select null::bytea, false, n.key, n.seq, n.version, n.marker, n.modified,
                n.body, n.size, n.etag, n.storage_class, n.checksum_algorithm, n.checksum_kind,
                n.checksum
            from noncurrent n
            where n.bucket_id = p_bucket and n.key = p_after and n.seq < v_seq
            order by n.seq desc limit p_limit;
        get diagnostics v_count = row_count;
    end if;
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        -- Whatever is noncurrent has a head. A nested loop keeps the order of the heads; in it,
        -- an Append gives the head, then the others in the order of their index. Sorting a union
        -- instead would read the rest of the bucket for each common prefix.
        for is_current, key, seq, version, marker, modified, body, size, etag, storage_class,
                checksum_algorithm, checksum_kind, checksum in
            select v.* from object o cross join lateral (
                (select true, o.key, o.seq, o.version, o.marker, o.modified, o.body, o.size,
                    o.etag, o.storage_class, o.checksum_algorithm, o.checksum_kind, o.checksum)
                union all
                (select false, n.key, n.seq, n.version, n.marker, n.modified, n.body, n.size,
                    n.etag, n.storage_class, n.checksum_algorithm, n.checksum_kind, n.checksum
                from noncurrent n where n.bucket_id = p_bucket and n.key = o.key
                order by n.seq desc)) v
            where o.bucket_id = p_bucket and o.key >= v_from and o.key < v_range.past
            order by o.key
        loop
            common_prefix := common_prefix_v1(key, p_prefix, p_delimiter);
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
returns table (common_prefix bytea, id uuid, key bytea, started timestamptz, initiator uuid,
    storage_class text, headers text, checksum_algorithm smallint, checksum_kind smallint)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
declare
    c_before_all constant uuid := '00000000-0000-0000-0000-000000000000';
    v_range record := list_range_v1(p_prefix, p_delimiter, p_after, p_after_upload is not null);
    v_from bytea := case when v_range.is_within then p_after else v_range.first end;
    v_after uuid := case when v_range.is_within then p_after_upload else c_before_all end;
    v_count integer := 0;
begin
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        for id, key, started, initiator, storage_class, headers, checksum_algorithm,
                checksum_kind in
            select u.id, u.key, u.started, u.initiator, u.storage_class, u.headers,
                u.checksum_algorithm, u.checksum_kind
            from upload u where u.bucket_id = p_bucket and u.completed_at is null
                and (u.key, u.id) > (v_from, v_after) and u.key < v_range.past
            order by u.key, u.id
        loop
            common_prefix := common_prefix_v1(key, p_prefix, p_delimiter);
            v_count := v_count + 1;
            return next;
            exit when common_prefix is not null or v_count >= p_limit;
        end loop;
        v_from := prefix_end_v1(common_prefix);
        v_after := c_before_all;
    end loop;
end $$;
