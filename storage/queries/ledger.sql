-- name: claim
select * from claim_window(:message_id, :generation, :lane, :as_of, :most, :token, :lease);

-- name: settle$
select settle_window(:message_id, :lane, :token, :contact_ids, :statuses, :handed_over_at, :smtp_codes,
                     :enhanced_codes, :replies, :next_try_at);

-- name: give_back$
select give_back(:message_id, :lane, :token, :contact_ids);

-- name: renew$
-- Lengthen the lease of what a lane still holds; returns how many rows that is.
with renewed as (
    update recipients set lease_until = clock_timestamp() + cast(:lease as interval)
     where message_id = :message_id and claim_token = any (cast(:tokens as uuid[])) and status = 'claimed'
    returning 1)
select count(*) from renewed;

-- name: lapse$
select lapse_leases(:message_id);

-- name: recipients
-- Everybody, in the order of the send.
select contact_id, address, status, due_at, attempts, next_try_at, handed_over_at, settled_at, smtp_code,
       enhanced_code, reply, reason
  from recipients
 where message_id = :message_id and (cast(:statuses as text[]) is null or status::text = any (:statuses))
 order by position, contact_id;

-- name: pace^
-- Emails handed over in the last seconds.
select count(*) as settled, min(settled_at) as first, clock_timestamp() as now
  from recipients
 where message_id = :message_id and status in ('sent', 'bounced', 'in_doubt')
   and settled_at > clock_timestamp() - cast(:window as interval);
