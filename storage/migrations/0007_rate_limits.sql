-- Rate limits: token buckets, one for a message that has a limit and one for all messages together.

create table rate_limits (
    name              text primary key, -- a message's id, or '*' for all messages
    emails_per_second double precision not null,
    tokens            double precision not null default 0, -- empty at first: no burst
    counted_at        timestamptz not null default clock_timestamp()
);

-- How many tokens a bucket holds: a second's, so that over any minute the rate is kept to a sixtieth.
create function bucket_size(emails_per_second double precision) returns double precision immutable language sql as
$$
    select greatest(emails_per_second, 1)
$$;

-- Take tokens for up to p_wanted emails of a message from each bucket that there is for it.
--
-- Returns how many it may claim; or 0, and how long to wait until it is worth asking again: a few at a time, or lanes
-- would claim one row after the other. The buckets stay locked until the claim commits, so the limit is exact, over
-- any number of lanes and workers; their time is the database's.
create function take_tokens(p_message_id text, p_wanted int, out granted int, out wait interval) language plpgsql as $$
declare
    bucket rate_limits;
    worth_it double precision;
begin
    granted := p_wanted;
    wait := '0';
    for bucket in select * from rate_limits where name in (p_message_id, '*') order by name for update loop
        bucket.tokens := least(bucket_size(bucket.emails_per_second), bucket.tokens + bucket.emails_per_second
                               * greatest(0, extract(epoch from clock_timestamp() - bucket.counted_at)));
        update rate_limits set tokens = bucket.tokens, counted_at = clock_timestamp() where name = bucket.name;
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

-- Put back the tokens of emails that were not handed over. The buckets are locked in the order of `take_tokens`, whatever
-- order they lie in: or a claim and a give-back would each hold the bucket that the other waits for.
create function return_tokens(p_message_id text, p_number int) returns void language sql as
$$
    with locked as materialized (
        select name from rate_limits where p_number > 0 and name in (p_message_id, '*') order by name for update)
    update rate_limits as bucket set tokens = least(bucket_size(emails_per_second), tokens + p_number)
      from locked where bucket.name = locked.name
$$;
