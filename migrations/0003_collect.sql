-- Mends freed_bodies_v1 in place: its callers get the same answer, later or in smaller pieces.

-- Bodies freed for p_at_least, and before anything that a running read began with. A read that
-- began after its holder's last renewal is not published yet, so the renewal bounds it too. Half
-- of p_at_least is taken off both: a read is known a moment after it looked its body up, and a
-- body is freed a moment before that is visible. A page ends early where it has many extents, so
-- that what is done with them stays within the time of a statement.
create or replace function freed_bodies_v1(p_at_least interval, p_limit integer) returns setof uuid
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
