-- The id that a command was given is looked up by `recorded_id`, always together with its message and its verb.

-- name: ask$
-- The command as asked; whether it has been answered already. Repeating it changes nothing: whoever asks chose its id.
select ask(:command_id, :message_id, :generation, :verb, :actor, :reason, :source, :requested_at, :details);

-- name: is_taken$
-- Whether an id is that of another command.
select recorded_id(:message_id, :verb, :command_id) is null
   and exists (select from commands where command_id = :command_id);

-- name: answer!
-- The answer, once.
select answer(recorded_id(:message_id, :verb, :command_id), :message_id, :outcome, :effective_at, :status_before,
              :status_after, :explanation);

-- name: answer_again!
-- A command that was fulfilled already is answered with the receipt of the command that did it.
insert into receipts (command_id, message_id, outcome, effective_at, status_before, status_after, counts, explanation)
select recorded_id(:message_id, :verb, :command_id),
       message_id, outcome, effective_at, status_before, status_after, counts, explanation
  from receipts where command_id = :original_id
    on conflict (command_id) do nothing;

-- name: asks_for_another_end$
select cast(c.details ->> 'ends_at' as timestamptz) is distinct from m.ends_at
  from commands c join messages m on m.id = c.message_id
 where c.command_id = recorded_id(:message_id, :verb, :command_id) and c.details ? 'ends_at';

-- name: receipt^
-- A command with its answer.
select c.command_id, c.verb as command, c.actor, c.reason, c.source, c.requested_at,
       r.outcome, r.effective_at, r.status_before, r.status_after, r.counts, r.explanation
  from receipts r join commands c using (command_id)
 where c.command_id = recorded_id(:message_id, :verb, :command_id);

-- name: latest_receipt^
-- What the latest answered command did.
select c.command_id, c.verb as command, c.actor, c.reason, c.source, c.requested_at,
       r.outcome, r.effective_at, r.status_before, r.status_after, r.counts, r.explanation
  from receipts r join commands c using (command_id)
 where r.message_id = :message_id
 order by r.number desc limit 1;

-- name: last_effective^
-- The last command that took effect: what "fulfilled already" is judged by. A decision about who is in doubt moves
-- rows, and the message only if it reopens it.
select c.command_id, c.verb, c.actor, c.reason
  from receipts r join commands c using (command_id)
 where r.message_id = :message_id and r.outcome = 'done'
   and (c.verb not in ('in-doubt accept', 'in-doubt resend') or r.status_before <> r.status_after)
 order by r.number desc limit 1;

-- name: history
-- Every command of a message in the order it was asked, with its answer if there is one.
select c.command_id, c.verb as command, c.actor, c.reason, c.source, c.requested_at, c.generation, c.details,
       r.outcome, r.effective_at, r.status_before, r.status_after, r.counts, r.explanation
  from commands c left join receipts r using (command_id)
 where c.message_id = :message_id
 order by c.number;

-- name: unanswered
-- Commands to a workflow that have waited for their answer: their signal may have been lost. By the ids that they were
-- given, which are those that a workflow knows them by.
select coalesce(c.asked_as, c.command_id) as command_id, c.message_id, c.generation, c.verb, c.actor, c.reason, c.source,
       c.requested_at
  from commands c
  join messages m on m.id = c.message_id
 where c.verb in ('pause', 'resume', 'cancel') and c.requested_at < clock_timestamp() - cast(:older_than as interval)
   and not exists (select from receipts r where r.command_id = c.command_id)
 order by c.number limit 100;

-- name: unanswered_of
-- The same of one message, whenever they were asked.
select coalesce(c.asked_as, c.command_id) as command_id, c.verb, c.actor, c.reason, c.source, c.requested_at
  from commands c
 where c.message_id = :message_id and c.verb in ('pause', 'resume', 'cancel')
   and not exists (select from receipts r where r.command_id = c.command_id)
 order by c.number;
