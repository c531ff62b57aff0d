-- name: claim
select * from claim_window(:message_id, :generation, :lane, :as_of, :most, :token, :lease, :after_due, :after_position);

-- name: settle$
select settle_window(:message_id, :lane, :token, :contact_ids, :statuses, :handed_over_at, :smtp_codes,
                     :enhanced_codes, :replies, :next_try_at, :counts);

-- name: give_back$
select give_back(:message_id, :lane, :token, :contact_ids);

-- name: renew$
-- Lengthen the lease of what a lane still holds; returns how many rows that is.
with renewed as (
    update claims set lease_until = clock_timestamp() + cast(:lease as interval)
     where token = any (cast(:tokens as uuid[])) and message_id = :message_id
    returning unsettled)
select coalesce(sum(unsettled), 0) from renewed;

-- name: lapse$
select lapse_leases(:message_id);

-- name: lapse_all$
-- Of all messages; by one at a time, since two could each hold the counts of a message that the other wants. One
-- statement, so that the lock goes with it whatever becomes of who asked.
select case when pg_try_advisory_xact_lock(7364003) then lapse_leases(null) else 0 end;

-- name: recipients
-- A page by contact id. Pages, since a statement that is open for long keeps dead rows alive, which slows every claim.
select contact_id, address, status, due_at, attempts, next_try_at, handed_over_at, settled_at, smtp_code,
       enhanced_code, reply, reason
  from recipients
 where message_id = :message_id and contact_id > :after
   and (cast(:statuses as text[]) is null or status::text = any (:statuses))
 order by contact_id limit :most;

-- name: going_since^
-- When the send last began or went on, and what had left by then: what the average pace is reckoned from.
select greatest(r.effective_at, m.began_at) as since, clock_timestamp() as now,
       coalesce((r.counts ->> 'sent')::bigint + (r.counts ->> 'bounced')::bigint, 0) as left_before
  from receipts r join commands c using (command_id) join messages m on m.id = r.message_id
 where r.message_id = :message_id and r.outcome = 'done'
   and (c.verb in ('send', 'resume') or c.verb = 'in-doubt resend' and r.status_before = 'sent')
 order by r.number desc limit 1;
