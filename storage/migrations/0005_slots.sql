-- Slots: which zones become due when, and the throttle batches.

-- The zones of a message's recipients by the instant at which they are due, the largest first. For people to read:
-- what is due is said by the ledger's rows. Without rows everybody is due at one instant.
create table slots (
    message_id text not null,
    due_at     timestamptz not null,
    zones      text[] not null,
    primary key (message_id, due_at)
);

-- The throttle batches that have been opened. Their members are the ledger's rows with that `batch`.
create table batches (
    message_id text not null,
    turn       int not null,
    opened_at  timestamptz not null, -- the workflow's clock
    size       int not null,
    primary key (message_id, turn)
);

-- Recipients of a message who are in no batch yet.
create function unbatched(p_message_id text) returns bigint language sql stable as
$$
    select coalesce(sum(number), 0)::bigint from recipient_counts
     where message_id = p_message_id and batch = -1 and status = 'pending'
$$;

-- Recipients of a batch who are pending or claimed: it is finished when there are none. Its deferred recipients are
-- tried again beside later batches.
create function unfinished_of_batch(p_message_id text, p_turn int) returns bigint language sql stable as
$$
    select coalesce(sum(number), 0)::bigint from recipient_counts
     where message_id = p_message_id and batch = p_turn and status in ('pending', 'claimed')
$$;

-- Whoever is in no batch yet gets nothing any more: the end date has passed. Returns how many that are.
create function expire_unbatched(p_message_id text) returns bigint language plpgsql as $$
declare
    expired bigint;
begin
    update recipients
       set status = 'expired', settled_at = clock_timestamp(), reason = 'the end date has passed'
     where message_id = p_message_id and status = 'pending' and batch = -1;
    get diagnostics expired = row_count;
    return expired;
end $$;

-- Take the first who are due, in the order of their instants and positions, into the batch of a turn. Their number is
-- p_batch_size, or what is left spread over what is left of p_max_batches. Returns how many these are; 0: nobody is
-- due, and there is no such batch.
create function fill_batch(p_message_id text, p_turn int, p_batch_size int, p_max_batches int, p_as_of timestamptz)
returns int language plpgsql as $$
declare
    wanted bigint := coalesce(
        p_batch_size,
        ceil(unbatched(p_message_id)::numeric
             / greatest(p_max_batches - (select count(*) from batches where message_id = p_message_id), 1)));
    taken int;
begin
    -- By the rows' places, and not by a join: in `begin` the rows are so new that the planner takes them for few, and
    -- a join over a million of them would never end. Locked first, and so looked at again, should a cancel be faster.
    update recipients set batch = p_turn
     where ctid = any (array(
               select ctid from recipients
                where message_id = p_message_id and status = 'pending' and batch = -1 and due_at <= p_as_of
                order by due_at, position limit wanted
                  for update));
    get diagnostics taken = row_count;
    if taken > 0 then
        insert into batches (message_id, turn, opened_at, size) values (p_message_id, p_turn, p_as_of, taken);
    end if;
    return taken;
end $$;

-- Open the batch of a turn, or expire the rest when the end date has passed. Safe to repeat.
--
-- `opened`: there is a batch of this turn or a later one, now or before. `ended`: the rest has expired. Or why nothing
-- was done: `nobody_due`, `unfinished` (the batch before), `stopped` (the gate is closed, or was and is open again by
-- another number; or another generation), `held`. The gate is no barrier here as it is for claims: of a batch that opens
-- while a stop takes hold nothing leaves, and a resume finds it as the interrupted one. So a stop never waits for an
-- opening, and one that comes too late finds another gate number.
create function open_batch(
    p_message_id text, p_generation int, p_gate_number bigint, p_turn int, p_batch_size int, p_max_batches int,
    p_as_of timestamptz
) returns text language plpgsql as $$
declare
    message messages;
    latest int;
begin
    -- One opening at a time: an attempt that was given up on may still be at work.
    perform pg_advisory_xact_lock(hashtextextended('batches/' || p_message_id, 5));
    select * into message from messages
     where id = p_message_id and generation = p_generation and status = 'sending' and gate_open
       and gate_number = p_gate_number;
    if not found then
        return 'stopped';
    end if;
    if exists (select from hold) then
        return 'held';
    end if;
    latest := (select max(turn) from batches where message_id = p_message_id);
    if latest >= p_turn then
        return 'opened';
    end if;
    if unfinished_of_batch(p_message_id, latest) > 0 then
        return 'unfinished';
    end if;
    if message.ends_at <= p_as_of then
        perform expire_unbatched(p_message_id);
        return 'ended';
    end if;
    return case fill_batch(p_message_id, p_turn, p_batch_size, p_max_batches, p_as_of)
           when 0 then 'nobody_due' else 'opened' end;
end $$;
