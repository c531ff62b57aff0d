-- A limit loses no token: the clock is read once for what came in and for when that was counted, and who turns out to be
-- suppressed or deleted takes none. Otherwise as before.

-- Take tokens for up to p_wanted emails of a message from each bucket that there is for it.
--
-- Returns how many it may claim; or 0, and how long to wait until it is worth asking again: a few at a time, or lanes
-- would claim one row after the other. The buckets stay locked until the claim commits, so the limit is exact, over
-- any number of lanes and workers; their time is the database's, read when the bucket is locked.
create or replace function take_tokens(p_message_id text, p_wanted int, out granted int, out wait interval)
language plpgsql as $$
declare
    bucket rate_limits;
    counted timestamptz;
    worth_it double precision;
begin
    granted := p_wanted;
    wait := '0';
    for bucket in select * from rate_limits where name in (p_message_id, '*') order by name for update loop
        counted := clock_timestamp();
        bucket.tokens := least(bucket_size(bucket.emails_per_second), bucket.tokens + bucket.emails_per_second
                               * greatest(0, extract(epoch from counted - bucket.counted_at)));
        update rate_limits set tokens = bucket.tokens, counted_at = counted where name = bucket.name;
        worth_it := least(p_wanted, greatest(1, bucket.emails_per_second / 20));
        if bucket.tokens < worth_it then
            wait := greatest(wait, make_interval(secs => (worth_it - bucket.tokens) / bucket.emails_per_second));
        end if;
        granted := least(granted, floor(bucket.tokens));
    end loop;
    if wait > '0' then
        granted := 0;
    else
        update rate_limits set tokens = tokens - granted where name in (p_message_id, '*');
    end if;
end $$;

-- Claim up to p_limit recipients that are due, oldest first, under a token that the lane chose. Of what a rate limit has
-- granted, whatever is claimed by nobody is returned.
--
-- The shared locks are taken first, and only then, in a statement of its own and so with a fresh snapshot, is the gate
-- looked at: closing takes the exclusive lock, so it waits for claims under way and every later claim sees it closed.
--
-- Verdicts and places: as this function was first declared.
create or replace function claim_window(
    p_message_id text, p_generation int, p_lane text, p_as_of timestamptz, p_limit int, p_token uuid, p_lease interval,
    p_after_due timestamptz default null, p_after_position bigint default null
) returns table (verdict text, contact_id bigint, address text, attempts smallint, first_try_at timestamptz,
                 time_zone text, attributes jsonb, due timestamptz, place bigint, wait interval)
language plpgsql as $$
#variable_conflict use_column
declare
    granted int;
    looked_at int;
    unclaimed int;
begin
    perform set_config('sendgate.lane', p_lane, true);
    perform pg_advisory_xact_lock_shared(hold_lock());
    perform pg_advisory_xact_lock_shared(message_lock(p_message_id));

    verdict := (select case when exists (select from hold) then 'held'
                            when not exists (select from messages
                                              where id = p_message_id and generation = p_generation
                                                and status = 'sending' and gate_open) then 'gate_closed' end);
    if verdict is not null then
        return next;
        return;
    end if;
    select allowed.granted, allowed.wait into granted, wait from take_tokens(p_message_id, p_limit) as allowed;
    if granted = 0 then
        verdict := 'rate_limited';
        return next;
        return;
    end if;

    return query
    with due as materialized (
        -- Their places too, by which they are updated: they are locked, so they stay there. A message is new to the
        -- planner, which takes its rows for few; by their keys it would look for them among all of the message.
        select r.ctid as row_at, r.contact_id, r.address_key
          from recipients r
         where r.message_id = p_message_id and r.status in ('pending', 'deferred') and r.batch >= 0
           and coalesce(r.next_try_at, r.due_at) <= p_as_of
           and (coalesce(r.next_try_at, r.due_at), r.position)
               > (coalesce(p_after_due, '-infinity'), coalesce(p_after_position, 0))
         order by coalesce(r.next_try_at, r.due_at), r.position
         limit granted
           for update skip locked
    ), fate as (
        select due.row_at, c.time_zone, c.attributes,
               case when c.id is null then 'withdrawn'
                    when s.id is not null then 'suppressed'
                    else 'claimed' end::recipient_status as status,
               case when c.id is null then 'contact deleted' else s.reason end as reason
          from due
          left join contacts c on c.id = due.contact_id
          left join suppressions s on s.address_key = due.address_key
    ), moved as (
        update recipients r
           set status = fate.status,
               reason = case when fate.status = 'claimed' then null else fate.reason end,
               settled_at = case when fate.status = 'claimed' then null else clock_timestamp() end,
               claim_token = case when fate.status = 'claimed' then p_token end,
               first_try_at = case when fate.status = 'claimed' then coalesce(r.first_try_at, p_as_of) end,
               attempts = r.attempts + case when fate.status = 'claimed' then 1 else 0 end
          from fate
         where r.ctid = fate.row_at
        returning r.status, r.contact_id, r.address, r.attempts, r.first_try_at, fate.time_zone, fate.attributes,
                  coalesce(r.next_try_at, r.due_at) as due, r.position
    ), claim as (
        insert into claims as already (token, message_id, contact_ids, unsettled, lease_until)
        select p_token, p_message_id, array_agg(moved.contact_id), count(*), clock_timestamp() + p_lease
          from moved where moved.status = 'claimed' having count(*) > 0
            on conflict (token) do update
           set contact_ids = already.contact_ids || excluded.contact_ids,
               unsettled = already.unsettled + excluded.unsettled, lease_until = excluded.lease_until
    )
    select case when moved.status = 'claimed' then 'claimed' else 'none_mailable' end, moved.contact_id,
           moved.address, moved.attempts, moved.first_try_at, moved.time_zone, moved.attributes, moved.due,
           moved.position, null::interval
      from moved order by moved.due, moved.position;
    get diagnostics looked_at = row_count;
    -- Under a token that has claimed before, fewer are returned than could be: never too many.
    unclaimed := granted - coalesce((select unsettled from claims where token = p_token), 0);
    if unclaimed > 0 then
        perform return_tokens(p_message_id, unclaimed);
    end if;
    if looked_at = 0 then
        verdict := 'nothing_due';
        return next;
    end if;
end $$;
