-- name: tally
-- How many messages there are of each status; `search` as in the pages of messages.
select status, count(*) as number from messages
 where (cast(:search as text) is null
        or position(lower(:search) in lower(name)) > 0 or position(lower(:search) in lower(subject)) > 0)
 group by status;

-- name: outlines
-- The instants of messages, who sent each, and the last command that took effect, as in `last_effective`.
select m.id, m.accepted_at, m.began_at, m.finished_at, sender.actor as sent_by, last.*
  from messages m
  left join lateral (
        select c.command_id, c.verb as command, c.actor, c.reason, c.source, c.requested_at,
               r.outcome, r.effective_at, r.status_before, r.status_after, r.counts, r.explanation
          from receipts r join commands c using (command_id)
         where r.message_id = m.id and r.outcome = 'done'
           and (c.verb not in ('in-doubt accept', 'in-doubt resend') or r.status_before <> r.status_after)
         order by r.number desc limit 1) as last on true
  left join lateral (
        select c.actor from receipts r join commands c using (command_id)
         where r.message_id = m.id and r.outcome = 'done' and c.verb = 'send'
         order by r.number desc limit 1) as sender on true
 where m.id = any (cast(:ids as text[]));

-- name: accepted^
-- What the plan of a scheduled message is made of; no row once it is anything else.
select accepted_at, plan from messages where id = :id and status = 'scheduled' and generation = :generation;
