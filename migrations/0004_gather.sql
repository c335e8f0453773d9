-- Writes that come at the same time in one call, and lists of flat rows.
--
-- commit_v2 answers as commit_v1 does. It costs less: what all items need is done once, in one
-- statement for all of them, and only a key that has versions already is gone about by itself.

-- Stores the bodies p_stored with their extents, which stand in arrays together with those of
-- others. p_nodes holds six node numbers for each extent.
create function insert_bodies_v1(p_stored uuid[], p_bodies uuid[], p_ids uuid[], p_starts bigint[],
    p_sizes bigint[], p_schemes smallint[], p_missing smallint[], p_nodes smallint[])
returns void language plpgsql volatile as $$
declare
    v_count integer;
begin
    insert into body (id, refs) select b, 1 from unnest(p_stored) b;
    insert into extent (id, body_id, start, size, scheme, missing, placement_id)
        select p_ids[i], p_bodies[i], p_starts[i], p_sizes[i], p_schemes[i], p_missing[i], p.id
        from generate_subscripts(p_bodies, 1) i
        join placement p on p.nodes = p_nodes[i * 6 - 5 : i * 6]
        where p_bodies[i] = any (p_stored);
    get diagnostics v_count = row_count;
    if v_count = cardinality(p_bodies) then
        return;
    end if;
    -- Placements that are new, which soon none are; or extents of items that were refused.
    insert into placement (nodes)
        select distinct p_nodes[i * 6 - 5 : i * 6] as nodes
        from generate_subscripts(p_bodies, 1) i
        where p_bodies[i] = any (p_stored)
            and not exists (select from placement p where p.nodes = p_nodes[i * 6 - 5 : i * 6])
        order by nodes
        on conflict do nothing;
    insert into extent (id, body_id, start, size, scheme, missing, placement_id)
        select p_ids[i], p_bodies[i], p_starts[i], p_sizes[i], p_schemes[i], p_missing[i], p.id
        from generate_subscripts(p_bodies, 1) i
        join placement p on p.nodes = p_nodes[i * 6 - 5 : i * 6]
        where p_bodies[i] = any (p_stored)
            and not exists (select from extent e where e.id = p_ids[i]);
end $$;

-- Makes versions visible: one item per array element, at most 64, of distinct keys of one bucket.
-- p_extents_body says to which item's body an extent belongs.
create function commit_v2(p_lease bigint, p_bucket bigint, p_epoch bigint,
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
                storage_class, headers, checksum_algorithm, checksum_kind, checksum, parts)
            select p_bucket, p_keys[i], 1, case when v_versioning = 1 then p_versions[i] end, false,
                v_now, p_bodies[i], p_sizes[i], p_etags[i], p_classes[i], p_headers[i],
                p_checksum_algorithms[i], p_checksum_kinds[i], p_checksums[i], p_parts[i]
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
                    p_checksum_kinds[i], p_checksums[i], p_parts[i])::object;
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

-- A page of current versions without markers, as list_objects_v1 gives it: at most p_limit rows,
-- each an entry or, with common_prefix set, a common prefix. Its columns stand by themselves,
-- since taking a composite row apart again costs more than reading it.
create function list_objects_v2(p_bucket bigint, p_prefix bytea, p_delimiter bytea, p_after bytea,
    p_limit integer)
returns table (common_prefix bytea, key bytea, seq bigint, version uuid, modified timestamptz,
    body uuid, size bigint, etag text, storage_class text, checksum_algorithm smallint,
    checksum_kind smallint, checksum bytea)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
declare
    v_from bytea := list_from_v1(p_prefix, p_delimiter, p_after);
    v_end bytea := case when p_prefix = '' then '\xff'::bytea else prefix_end_v1(p_prefix) end;
    v_count integer := 0;
begin
    if p_delimiter is null then
        return query select null::bytea, o.key, o.seq, o.version, o.modified, o.body, o.size,
                o.etag, o.storage_class, o.checksum_algorithm, o.checksum_kind, o.checksum
            from object o where o.bucket_id = p_bucket
                and o.key >= v_from and o.key < v_end and not o.marker
            order by o.key limit p_limit;
        return;
    end if;
    while v_from is not null and v_count < p_limit loop
        common_prefix := null;
        for key, seq, version, modified, body, size, etag, storage_class, checksum_algorithm,
                checksum_kind, checksum in
            select o.key, o.seq, o.version, o.modified, o.body, o.size, o.etag, o.storage_class,
                o.checksum_algorithm, o.checksum_kind, o.checksum
            from object o where o.bucket_id = p_bucket
                and o.key >= v_from and o.key < v_end and not o.marker order by o.key
        loop
            common_prefix := common_prefix_v1(key, p_prefix, p_delimiter);
            v_count := v_count + 1;
            return next;
            exit when common_prefix is not null or v_count >= p_limit;
        end loop;
        v_from := prefix_end_v1(common_prefix);
    end loop;
end $$;
