-- Locks in one order, and a claim under way is waited for. Otherwise as before.

-- Undo a claim for those who were not handed over; all of the token's where no contacts are named.
--
-- No contacts are named when the claim's answer was lost: its statement may still be at work, and its commit come after
-- ours. So the message's lock is taken first, which claims share: it waits for those under way, and the statements that
-- follow see what they did.
--
-- The buckets are locked before the counters, as in a claim, and not only when their tokens are returned at the end: a
-- claim and a give-back that add to the same counters would each hold what the other waits for.
create or replace function give_back(p_message_id text, p_lane text, p_token uuid, p_contact_ids bigint[]) returns int
language plpgsql as $$
declare
    claimed int;
    given int;
begin
    if p_contact_ids is null then
        perform pg_advisory_xact_lock(message_lock(p_message_id));
    end if;
    perform set_config('sendgate.lane', p_lane, true);
    perform from rate_limits where name in (p_message_id, '*') order by name for update;
    claimed := lock_claim(p_token);
    update recipients r
       set status = 'pending', claim_token = null, attempts = attempts - 1,
           first_try_at = case when attempts > 1 or next_try_at is not null then first_try_at end
      from unnest(coalesce(p_contact_ids, (select contact_ids from claims where token = p_token))) as o (contact_id)
     cross join (select p_message_id as id offset 0) as message -- hidden from the planner, as in settle_window
     where r.message_id = message.id and r.contact_id = o.contact_id and r.claim_token = p_token
       and r.status = 'claimed';
    get diagnostics given = row_count;
    perform take_off_claim(p_token, claimed, given);
    perform return_tokens(p_message_id, given);
    return given;
end $$;
