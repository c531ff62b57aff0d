-- The clock is read once for what came in and for when that was counted: between two readings, tokens would be lost.
-- Otherwise as before.

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
