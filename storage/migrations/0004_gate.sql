-- The gate, the claim, and everything else that moves a ledger row while a message is sending.

-- The counts of a message as one object: every status, and `total`.
create function counts_of(p_message_id text) returns jsonb language sql stable as
$$
    select jsonb_object_agg(status, number) || jsonb_build_object('total', sum(number))
      from (select every.status, coalesce(sum(kept.number), 0) as number
              from unnest(enum_range(null::recipient_status)) as every (status)
              left join recipient_counts kept on kept.message_id = p_message_id and kept.status = every.status
             group by every.status) as summed
$$;

-- Claim up to p_limit recipients that are due, oldest first, under a token that the lane chose.
--
-- The shared locks are taken first, and only then, in a statement of its own and so with a fresh snapshot, is the gate
-- looked at: closing takes the exclusive lock, so it waits for claims under way and every later claim sees it closed.
-- Suppression and deletion of a contact are read here, at every claim. A rate limit is kept here too: what it does not
-- let be claimed cannot leave, whatever lanes and workers there are.
--
-- A lane goes on behind the place (due, position) that its last claim came to: entries of the index that are dead, but
-- not yet vacuumed, would be walked over again and again otherwise, and a reader that is open for long keeps them. Who
-- has been given back before that place is taken by a claim without one.
--
-- One row per claimed recipient, each with verdict 'claimed'; or one row that says why there is none:
-- nothing_due, gate_closed, held, none_mailable (due, but all suppressed or deleted: claim again), or rate_limited
-- (with how long to wait before the next claim).
create function claim_window(
    p_message_id text, p_generation int, p_lane text, p_as_of timestamptz, p_limit int, p_token uuid, p_lease interval,
    p_after_due timestamptz default null, p_after_position bigint default null
) returns table (verdict text, contact_id bigint, address text, attempts smallint, first_try_at timestamptz,
                 time_zone text, attributes jsonb, due timestamptz, place bigint, wait interval)
language plpgsql as $$
#variable_conflict use_column
declare
    granted int;
    looked_at int;
begin
    perform set_config('sendgate.lane', p_lane, true);
    perform pg_advisory_xact_lock_shared(hold_lock());
    perform pg_advisory_xact_lock_shared(message_lock(p_message_id));

    verdict := (select case when exists (select from hold) then 'held'
                            when not exists (select from messages
                                              where id = p_message_id and generation = p_generation
                                                and status = 'sending' and gate_open) then 'gate_closed' end);
    if verdict is not null then
        return next;
        return;
    end if;
    select allowed.granted, allowed.wait into granted, wait from take_tokens(p_message_id, p_limit) as allowed;
    if granted = 0 then
        verdict := 'rate_limited';
        return next;
        return;
    end if;

    return query
    with due as materialized (
        -- Their places too, by which they are updated: they are locked, so they stay there. A message is new to the
        -- planner, which takes its rows for few; by their keys it would look for them among all of the message.
        select r.ctid as row_at, r.contact_id, r.address_key
          from recipients r
         where r.message_id = p_message_id and r.status in ('pending', 'deferred') and r.batch >= 0
           and coalesce(r.next_try_at, r.due_at) <= p_as_of
           and (coalesce(r.next_try_at, r.due_at), r.position)
               > (coalesce(p_after_due, '-infinity'), coalesce(p_after_position, 0))
         order by coalesce(r.next_try_at, r.due_at), r.position
         limit granted
           for update skip locked
    ), fate as (
        select due.row_at, c.time_zone, c.attributes,
               case when c.id is null then 'withdrawn'
                    when s.id is not null then 'suppressed'
                    else 'claimed' end::recipient_status as status,
               case when c.id is null then 'contact deleted' else s.reason end as reason
          from due
          left join contacts c on c.id = due.contact_id
          left join suppressions s on s.address_key = due.address_key
    ), moved as (
        update recipients r
           set status = fate.status,
               reason = case when fate.status = 'claimed' then null else fate.reason end,
               settled_at = case when fate.status = 'claimed' then null else clock_timestamp() end,
               claim_token = case when fate.status = 'claimed' then p_token end,
               first_try_at = case when fate.status = 'claimed' then coalesce(r.first_try_at, p_as_of) end,
               attempts = r.attempts + case when fate.status = 'claimed' then 1 else 0 end
          from fate
         where r.ctid = fate.row_at
        returning r.status, r.contact_id, r.address, r.attempts, r.first_try_at, fate.time_zone, fate.attributes,
                  coalesce(r.next_try_at, r.due_at) as due, r.position
    ), claim as (
        insert into claims as already (token, message_id, contact_ids, unsettled, lease_until)
        select p_token, p_message_id, array_agg(moved.contact_id), count(*), clock_timestamp() + p_lease
          from moved where moved.status = 'claimed' having count(*) > 0
            on conflict (token) do update
           set contact_ids = already.contact_ids || excluded.contact_ids,
               unsettled = already.unsettled + excluded.unsettled, lease_until = excluded.lease_until
    )
    select case when moved.status = 'claimed' then 'claimed' else 'none_mailable' end, moved.contact_id,
           moved.address, moved.attempts, moved.first_try_at, moved.time_zone, moved.attributes, moved.due,
           moved.position, null::interval
      from moved order by moved.due, moved.position;
    get diagnostics looked_at = row_count;
    if looked_at < granted then
        perform return_tokens(p_message_id, granted - looked_at);
    end if;
    if looked_at = 0 then
        verdict := 'nothing_due';
        return next;
    end if;
end $$;

-- Write what became of claimed recipients; returns how many rows took it.
--
-- The token must match. A row whose lease had lapsed is `in_doubt` by then, and takes what its own lane saw after all:
-- except that a late "not now" becomes `failed`, since nothing in doubt is ever sent again by itself. A try that does
-- not count (`p_counts`) is taken off the attempts.
create function settle_window(
    p_message_id text, p_lane text, p_token uuid, p_contact_ids bigint[], p_statuses text[],
    p_handed_over_at timestamptz[], p_smtp_codes smallint[], p_enhanced_codes text[], p_replies text[],
    p_next_try_at timestamptz[], p_counts boolean[]
) returns int language plpgsql as $$
declare
    claimed int := lock_claim(p_token);
    settled int;
begin
    perform set_config('sendgate.lane', p_lane, true);
    update recipients r
       set status = case when r.status = 'in_doubt' and o.status = 'deferred' then 'failed' else o.status end::recipient_status,
           handed_over_at = o.handed_over_at, settled_at = clock_timestamp(), smtp_code = o.smtp_code,
           enhanced_code = o.enhanced_code, reply = o.reply, reason = null,
           next_try_at = case when r.status = 'claimed' then o.next_try_at end,
           attempts = r.attempts - case when o.counts then 0 else 1 end
      from unnest(p_contact_ids, p_statuses, p_handed_over_at, p_smtp_codes, p_enhanced_codes, p_replies,
                  p_next_try_at, p_counts)
           as o (contact_id, status, handed_over_at, smtp_code, enhanced_code, reply, next_try_at, counts)
     -- Hidden from the planner, to which the message is new: it would read all rows of it, taking them for few.
     cross join (select p_message_id as id offset 0) as message
     where r.message_id = message.id and r.contact_id = o.contact_id and r.claim_token = p_token
       and (r.status = 'claimed' or claimed is null and r.status = 'in_doubt' and o.status <> 'in_doubt');
    get diagnostics settled = row_count;
    perform take_off_claim(p_token, claimed, settled);
    return settled;
end $$;

-- How many rows a token still claims; null when none: they are settled, or their lease has lapsed. Until the commit
-- nobody else settles or lapses them.
create function lock_claim(p_token uuid) returns int language sql as
$$
    select unsettled from claims where token = p_token for update
$$;

-- Some of the rows that a token claims are claimed no longer. Together with them, always.
create function take_off_claim(p_token uuid, p_claimed int, p_number int) returns void language plpgsql as $$
begin
    if p_number = p_claimed then
        delete from claims where token = p_token;
    elsif p_claimed is not null and p_number > 0 then
        update claims set unsettled = unsettled - p_number where token = p_token;
    end if;
end $$;

-- Undo a claim for those who were not handed over; all of the token's where no contacts are named.
create function give_back(p_message_id text, p_lane text, p_token uuid, p_contact_ids bigint[]) returns int
language plpgsql as $$
declare
    claimed int := lock_claim(p_token);
    given int;
begin
    perform set_config('sendgate.lane', p_lane, true);
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

-- Whoever held these rows is silent for a whole lease: whether their emails left is unknown, so they are in doubt.
-- Nothing but this and a lane's own settle makes a row in doubt. Without a message: of all messages. A claim that is
-- being settled at this moment is passed over, never waited for.
create function lapse_leases(p_message_id text) returns int language plpgsql as $$
declare
    silent claims;
    lapsed int := 0;
    number int;
begin
    for silent in select * from claims
                   where lease_until < clock_timestamp() and (p_message_id is null or message_id = p_message_id)
                   order by token for update skip locked loop
        update recipients r
           set status = 'in_doubt', settled_at = clock_timestamp(),
               reason = 'the sender fell silent while the email may have been on its way'
          from unnest(silent.contact_ids) as o (contact_id)
         cross join (select silent.message_id as id offset 0) as message -- hidden from the planner, as in settle_window
         where r.message_id = message.id and r.contact_id = o.contact_id and r.claim_token = silent.token
           and r.status = 'claimed';
        get diagnostics number = row_count;
        delete from claims where token = silent.token;
        lapsed := lapsed + number;
    end loop;
    return lapsed;
end $$;

-- Answer a command: once, for ever.
create function answer(
    p_command_id text, p_message_id text, p_outcome text, p_effective_at timestamptz,
    p_before message_status, p_after message_status, p_explanation text
) returns void language sql as
$$
    insert into receipts (command_id, message_id, outcome, effective_at, status_before, status_after, counts, explanation)
    values (p_command_id, p_message_id, p_outcome, p_effective_at, p_before, p_after, counts_of(p_message_id), p_explanation)
        on conflict (command_id) do nothing
$$;

-- Close the gate for a stop. Waits for claims under way; when it returns no row is claimed any more.
-- Returns the message's status, or null when this generation is over.
create function close_gate(p_message_id text, p_generation int, p_number bigint) returns message_status
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(message_lock(p_message_id));
    update messages set gate_open = false, gate_number = p_number, updated_at = clock_timestamp()
     where id = p_message_id and generation = p_generation and gate_number < p_number
       and status in ('scheduled', 'sending', 'paused');
    return (select status from messages where id = p_message_id and generation = p_generation);
end $$;

-- Confirm a stop once the message is quiet: the new status and the receipt in one transaction.
--
-- Returns 'in_flight' while rows are still claimed (ask again), else the status after it. The instant is read after
-- quiet was seen with the gate closed and before the unsent are marked, which may take its time.
create function confirm_stop(
    p_message_id text, p_generation int, p_number bigint, p_command_id text, p_verb text
) returns text language plpgsql as $$
declare
    message messages;
    quiet_at timestamptz;
    target message_status := case p_verb when 'pause' then 'paused' else 'canceled' end;
begin
    if exists (select from receipts where command_id = p_command_id) then -- repeated after a lost answer
        return coalesce((select status::text from messages where id = p_message_id and generation = p_generation),
                        'superseded');
    end if;
    perform lapse_leases(p_message_id);
    select * into message from messages where id = p_message_id and generation = p_generation for update;
    if not found then
        return 'superseded';
    end if;
    if message.status in ('sent', 'canceled', 'draft') then -- overtaken, by the last email for one
        perform answer(p_command_id, p_message_id, 'done', clock_timestamp(), 'sending', message.status, null);
        return message.status;
    end if;
    if message.gate_open or message.gate_number > p_number then
        perform answer(p_command_id, p_message_id, 'superseded', null, message.status, message.status,
                       'A later command has been obeyed.');
        return message.status;
    end if;
    if exists (select from claims where message_id = p_message_id) then
        return 'in_flight';
    end if;
    quiet_at := clock_timestamp();
    if target = 'paused' and message.status = 'sending'
       and not exists (select from recipients where message_id = p_message_id and is_waiting(status, batch)) then
        target := 'sent'; -- overtaken by the last email: there is nothing left to resume
    end if;
    if target = 'canceled' then
        update recipients set status = 'canceled', settled_at = quiet_at
         where message_id = p_message_id and is_waiting(status, batch);
    end if;
    update messages
       set status = target, updated_at = quiet_at,
           finished_at = case when target in ('sent', 'canceled') then quiet_at end
     where id = p_message_id;
    perform answer(p_command_id, p_message_id, 'done', quiet_at, message.status, target, null);
    return target;
end $$;
