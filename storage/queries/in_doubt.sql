-- name: page
-- A page of those in doubt by contact id.
select contact_id, address, status, due_at, attempts, next_try_at, handed_over_at, settled_at, smtp_code,
       enhanced_code, reply, reason
  from recipients
 where message_id = :message_id and status = 'in_doubt' and contact_id > :after
 order by contact_id limit :most;

-- name: lock^
-- Until the decision is made the message does not end, no stop is confirmed, nobody else decides, and nobody reopens a
-- message that this one excludes. In one order, whoever locks (`lock_each` of messages.sql).
with locked as (
    select id, status, name, generation, audience from messages
     where id = :message_id
        or id in (select jsonb_array_elements_text(audience -> 'exclude_recipients_of') from messages where id = :message_id)
     order by id for update
)
select status, name, generation, audience from locked where id = :message_id;

-- name: count_apart!
-- Into counter rows of its own: a stop that is being confirmed holds those of the bookkeeping while it waits for the
-- message's row, which is locked here already.
select set_config('sendgate.lane', 'in doubt', true);

-- name: named
-- Where those stand who were named by address or contact.
select contact_id, address, address_key, status from recipients
 where message_id = :message_id
   and (address_key = any (cast(:address_keys as text[])) or contact_id = any (cast(:contact_ids as bigint[])));

-- name: accept
-- in_doubt → sent. Whom its own lane is settling at this moment is passed over, never waited for: the lane knows
-- better, and two who wait for each other's rows would wait for ever. By the rows' places, as `fill_batch` does.
update recipients
   set status = 'sent', settled_at = clock_timestamp(), reason = 'accepted as sent by ' || cast(:actor as text)
 where ctid = any (array(
           select ctid from recipients
            where message_id = :message_id and status = 'in_doubt'
              and (cast(:contact_ids as bigint[]) is null or contact_id = any (cast(:contact_ids as bigint[])))
              for update skip locked))
returning contact_id;

-- name: resend
-- in_doubt → pending, and due at once. The claim token goes, so that a late settle of the lane that lost sight of the
-- row finds nothing to write to. The attempts go on counting, the age of the first does not: the operator has decided
-- since. The batch stays: its turn has come, and a place in it has been used.
update recipients
   set status = 'pending', claim_token = null, first_try_at = null, next_try_at = null,
       handed_over_at = null, settled_at = null, smtp_code = null, enhanced_code = null, reply = null,
       reason = 'resend asked by ' || cast(:actor as text)
 where ctid = any (array(
           select ctid from recipients
            where message_id = :message_id and status = 'in_doubt'
              and (cast(:contact_ids as bigint[]) is null or contact_id = any (cast(:contact_ids as bigint[])))
              for update skip locked))
returning contact_id;

-- name: excluded_by^
-- A message that is not over and leaves out whom this one reached: whoever is pending here again would get both.
select id, name, status from messages
 where status in ('scheduled', 'sending', 'paused')
   and audience -> 'exclude_recipients_of' @> to_jsonb(cast(:message_id as text))
 limit 1;

-- name: reopen^
-- sent → sending under the next generation, with the gate as `begin` leaves it; no workflow has adopted it yet.
update messages
   set generation = generation + 1, status = 'sending', gate_open = true, gate_number = 0, adopted_at = null,
       finished_at = null, updated_at = clock_timestamp()
 where id = :message_id and status = 'sent'
returning generation;

-- name: now$
select clock_timestamp();
