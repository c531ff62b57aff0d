-- name: insert!
insert into messages (id, name, from_address, from_name, reply_to, subject, html, text, audience, copied_from)
values (:id, :name, :from_address, :from_name, :reply_to, :subject, :html, :text, :audience, :copied_from);

-- name: replace_content$
-- Only a draft can be edited, and on demand only the version that was `seen`: the row count is the answer.
update messages
   set name = :name, from_address = :from_address, from_name = :from_name, reply_to = :reply_to, subject = :subject,
       html = :html, text = :text, audience = :audience, updated_at = clock_timestamp()
 where id = :id and status = 'draft' and (cast(:seen as timestamptz) is null or updated_at = :seen)
returning id;

-- name: delete$
-- Only a draft can be deleted; its commands and receipts stay.
delete from messages where id = :id and status = 'draft' returning id;

-- name: lock!
select from messages where id = :id for update;

-- name: get^
select m.*, counts_of(m.id) as counts, exists (select from hold) as hold,
       unanswered_command(m) as unanswered
  from messages m where m.id = :id;

-- name: page
-- Newest first, without the bodies, which may be a megabyte each.
select m.id, m.name, m.from_address, m.from_name, m.reply_to, m.subject, null as html, null as text, m.audience,
       m.status, m.schedule, m.ends_at, m.generation, m.copied_from, m.created_at, m.updated_at, m.next_slot_at,
       counts_of(m.id) as counts, exists (select from hold) as hold, unanswered_command(m) as unanswered
  from messages m
 where (cast(:statuses as text[]) is null or m.status::text = any (:statuses))
   and (cast(:search as text) is null
        or position(lower(:search) in lower(m.name)) > 0 or position(lower(:search) in lower(m.subject)) > 0)
   and (cast(:containing as text) is null
        or position(cast(:containing as text) in coalesce(m.html, '')) > 0
        or position(:containing in coalesce(m.text, '')) > 0 or position(:containing in m.subject) > 0)
   and (cast(:after_at as timestamptz) is null or (m.created_at, m.id) < (:after_at, cast(:after_id as text)))
 order by m.created_at desc, m.id desc
 limit :most;

-- name: place_of^
select created_at, id from messages where id = :id;

-- name: containing
-- Ids of messages in some status whose body or subject contains a text.
select id from messages
 where status::text = any (:statuses)
   and (position(cast(:needle as text) in coalesce(html, '')) > 0 or position(:needle in coalesce(text, '')) > 0
        or position(:needle in subject) > 0)
 order by created_at, id;

-- name: schedule$
-- draft → scheduled under a new generation. One conditional statement: two senders cannot both win, and what is sent is
-- the version that was looked at.
update messages
   set status = 'scheduled', generation = generation + 1, schedule = :schedule, plan = null,
       gate_open = false, gate_number = -1, accepted_at = :accepted_at,
       adopted_at = null, began_at = null, finished_at = null, looked_at = null, first_turn_at = null, ends_at = :ends_at,
       next_slot_at = :next_slot_at, updated_at = clock_timestamp()
 where id = :id and status = 'draft' and (cast(:seen as timestamptz) is null or updated_at = :seen)
returning generation;

-- name: unschedule^
-- scheduled → draft, and a note of the generation whose workflow is to be terminated. Whoever changes the row first
-- wins: this or `begin`. Returns no row when the send has begun.
update messages
   set status = 'draft', terminate_generation = generation, gate_open = false, next_slot_at = null,
       updated_at = clock_timestamp()
 where id = :id and status = 'scheduled' and generation = :generation
returning generation, updated_at;

-- name: forget_terminate!
update messages set terminate_generation = null where id = :id and terminate_generation = :generation;

-- name: unfinished_exclusion^
-- An excluded message that could still mail the same people.
select id, name, status from messages
 where id = any (cast(:ids as text[])) and status in ('scheduled', 'sending', 'paused') limit 1;

-- name: lock_each!
-- In one order, whoever locks: two sends that exclude each other's recipients would wait for one another.
select from messages where id = any (cast(:ids as text[])) order by id for update;

-- name: missing
-- Which of these ids are no messages.
select wanted from unnest(cast(:ids as text[])) as wanted where not exists (select from messages where id = wanted);

-- name: times^
select accepted_at, began_at, finished_at, first_turn_at, ends_at from messages where id = :id;
