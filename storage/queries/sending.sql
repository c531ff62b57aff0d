-- name: lock_hold!
-- Before looking at the hold, in the transaction that acts on it: putting the hold takes the exclusive lock.
select pg_advisory_xact_lock_shared(hold_lock());

-- name: is_held$
select exists (select from hold);

-- name: adopt^
-- The workflow is there. Not when the generation is over: then the workflow ends itself.
update messages
   set adopted_at = coalesce(adopted_at, clock_timestamp()), plan = coalesce(plan, :plan)
 where id = :message_id and generation = :generation and status in ('scheduled', 'sending', 'paused')
returning status, plan, name, next_slot_at;

-- name: accepted^
select schedule, accepted_at, name from messages where id = :message_id and generation = :generation;

-- name: begin^
-- scheduled → sending, or paused when it begins too late. A stop that came first keeps the gate closed.
update messages
   set status = cast(:status as message_status), gate_open = (gate_number < 0 and :status = 'sending'),
       gate_number = greatest(gate_number, 0), began_at = clock_timestamp(), next_slot_at = null,
       first_turn_at = :first_turn_at, updated_at = clock_timestamp()
 where id = :message_id and generation = :generation and status = 'scheduled'
returning id;

-- name: limit_rate!
-- Set a rate limit; what a bucket holds is kept, so that a worker that starts anew grants nothing.
insert into rate_limits (name, emails_per_second) values (:name, :emails_per_second)
    on conflict (name) do update set emails_per_second = excluded.emails_per_second;

-- name: unlimit_rate!
delete from rate_limits where name = :name;

-- name: commonest_failure^
-- Of the latest 10,000, so that it takes no time however many there are; of more, the reply says so.
select smtp_code, count(*) as number,
       case when sum(count(*)) over () < 10000 then reply
            else coalesce(reply, 'without a text') || ' (among the latest 10,000)' end as reply
  from (select smtp_code, reply from recipients
         where message_id = :message_id and status in ('bounced', 'failed')
         order by settled_at desc limit 10000) as latest
 group by smtp_code, latest.reply order by count(*) desc, latest.reply limit 1;

-- name: state^
select status, gate_open, gate_number, audience, schedule, plan, looked_at, ends_at, generation from messages
 where id = :message_id and generation = :generation;

-- name: forget_refused_stop!
-- A stop that came while it was looked whether it is time, and was refused: what begins later does not begin stopped.
update messages set gate_number = -1 where id = :message_id and generation = :generation and status = 'scheduled';

-- name: not_yet!
-- Nobody of the audience, as it is now, is due yet: the instant at which somebody will be.
update messages set next_slot_at = :next_slot_at, looked_at = :as_of
 where id = :message_id and generation = :generation and status = 'scheduled';

-- name: move_end$
-- A resume may bring another end date; returns it, nothing if it brought none.
update messages m set ends_at = cast(c.details ->> 'ends_at' as timestamptz)
  from commands c
 where m.id = :message_id and c.command_id = recorded_id(:message_id, :verb, :command_id) and c.details ? 'ends_at'
returning m.ends_at;

-- name: survey^
-- What is due, counted up to a limit, and when the next thing happens by the caller's clock: the next waiting row, or
-- the next lapse. A lease is by the clock of the database, which may be another.
select m.status, m.gate_open, m.gate_number, m.schedule, exists (select from hold) as held, counts_of(m.id) as counts,
       (select count(*) from (select from recipients r
                               where r.message_id = m.id and r.status in ('pending', 'deferred') and r.batch >= 0
                                 and coalesce(r.next_try_at, r.due_at) <= :as_of limit :most) as due) as due,
       least((select min(coalesce(r.next_try_at, r.due_at)) from recipients r
               where r.message_id = m.id and r.status in ('pending', 'deferred') and r.batch >= 0
                 and coalesce(r.next_try_at, r.due_at) > :as_of),
             (select :as_of + (min(lease_until) - clock_timestamp()) from claims where message_id = m.id)) as next_at
  from messages m
 where m.id = :message_id and m.generation = :generation;

-- name: close_gate$
select close_gate(:message_id, :generation, :number);

-- name: confirm_stop$
select confirm_stop(:message_id, :generation, :number, :command_id, :verb);

-- name: finish$
select finish(:message_id, :generation);

-- name: open_gate^
-- The end of a resume. A stop with a higher number came first: no row, and nothing opens. Nor does a resume open
-- that was asked before a stop which has been obeyed: its signal was lost, and came again when it was out of date.
update messages
   set status = 'sending', gate_open = true, gate_number = :number, updated_at = clock_timestamp()
 where id = :message_id and generation = :generation and status = 'paused' and gate_number < :number
   and not exists (select from commands asked
                     join commands stop on stop.message_id = asked.message_id and stop.number > asked.number
                      and stop.verb in ('pause', 'cancel')
                     join receipts r on r.command_id = stop.command_id and r.outcome = 'done'
                    where asked.command_id = recorded_id(:message_id, :verb, :command_id))
returning updated_at;

-- name: not_adopted
-- Scheduled, or taken over or reopened under the next generation, and no workflow has adopted it for a while: its start
-- was lost.
select id, generation, name, status from messages
 where adopted_at is null and status in ('scheduled', 'sending', 'paused')
   and updated_at < clock_timestamp() - cast(:older_than as interval)
 order by updated_at limit 100;

-- name: to_terminate
select id, terminate_generation as generation from messages where terminate_generation is not null limit 100;

-- name: adopted
-- Messages whose workflow should be running, by id.
select id, generation, status from messages
 where status in ('scheduled', 'sending', 'paused') and adopted_at is not null and id > :after
 order by id limit :most;

-- name: forget_adoption!
-- Its workflow is unknown to Temporal, though nothing has begun: let it be started again.
update messages set adopted_at = null, updated_at = clock_timestamp()
 where id = :message_id and generation = :generation and status = 'scheduled';

-- name: orphan^
-- A message of this generation that is live although its workflow was closed by hand.
select status, name from messages
 where id = :message_id and generation = :generation and status in ('scheduled', 'sending', 'paused');

-- name: take_over^
-- The next generation of a begun message, paused. Only when quiet, so that `paused` is true.
update messages m
   set generation = generation + 1, status = 'paused', gate_open = false, gate_number = 0,
       adopted_at = null, updated_at = clock_timestamp()
 where id = :message_id and generation = :generation and status in ('sending', 'paused')
   and not exists (select from claims where message_id = m.id)
returning generation, name, updated_at;

-- name: resent
-- Sends to which somebody was returned from in doubt a moment ago: the wake that tells their workflow may be lost.
select m.id, m.generation from messages m
 where m.status = 'sending'
   and exists (select from receipts r join commands c using (command_id)
                where r.message_id = m.id and c.verb = 'in-doubt resend' and r.outcome = 'done'
                  and r.answered_at between clock_timestamp() - cast(:older_than as interval) - interval '1 minute'
                                        and clock_timestamp() - cast(:older_than as interval));

-- name: status_now^
select status, generation, clock_timestamp() as now from messages where id = :message_id;

-- name: waiting
-- Whom a hold may have kept waiting: what sends, and what should have begun. Oldest first.
select id, generation from messages
 where status = 'sending' or status = 'scheduled' and next_slot_at <= clock_timestamp()
 order by accepted_at, id;
