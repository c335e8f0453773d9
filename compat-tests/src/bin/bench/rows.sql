-- Rows of objects without chunks, as puts of one extent would have left them: $from to $until by
-- number, in the bucket `bench`. Indexes are dropped and made anew, which is much faster than
-- millions of insertions into them.
set synchronous_commit = off;
set maintenance_work_mem = '256MB';
begin;
lock table object, body, extent in access exclusive mode;
create temporary table made_anew on commit drop as
    select c.conname as name, t.relname as of_table, true as is_constraint,
        format('alter table %I add constraint %I %s', t.relname, c.conname,
            pg_get_constraintdef(c.oid)) as definition
    from pg_constraint c join pg_class t on t.oid = c.conrelid
    where t.relname in ('object', 'body', 'extent') and c.contype = 'p'
    union all
    select i.relname, t.relname, false, pg_get_indexdef(x.indexrelid)
    from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
    where t.relname in ('object', 'body', 'extent') and not x.indisprimary;
select case when is_constraint then format('alter table %I drop constraint %I', of_table, name)
    else format('drop index %I', name) end from made_anew \gexec
create temporary table pattern on commit drop as
    select o.bucket_id, o.seq, o.modified, o.size, o.etag, o.storage_class, o.headers, e.scheme
    from object o join bucket b on b.id = o.bucket_id join extent e on e.body_id = o.body
    where b.name = 'bench' limit 1;
create temporary table placements on commit drop as
    select array_agg(id) as ids, count(*)::integer as count from placement;
insert into body (id, refs)
    select md5('body ' || i)::uuid, 1 from generate_series(:from, :until - 1) i;
insert into extent (id, body_id, start, size, scheme, placement_id)
    select md5('extent ' || i)::uuid, md5('body ' || i)::uuid, 0, p.size, p.scheme,
        ids[1 + i % count]
    from generate_series(:from, :until - 1) i, pattern p, placements;
-- The same keys as the generator's.
insert into object (bucket_id, key, seq, marker, modified, body, size, etag, storage_class, headers)
    select p.bucket_id,
        convert_to('p' || i % 10 || '/' || lpad(to_hex(i * 2654435761 % 4294967296), 8, '0'),
            'UTF8'),
        p.seq, false, p.modified, md5('body ' || i)::uuid, p.size, p.etag, p.storage_class,
        p.headers
    from generate_series(:from::bigint, :until - 1) i, pattern p;
select definition from made_anew order by not is_constraint, name \gexec
commit;
vacuum (analyze) object, body, extent;
checkpoint;
