-- The ledger: one row per (message, recipient), written before the hand-over and settled after it.

create type recipient_status as enum (
    'pending', 'claimed', 'sent', 'deferred', 'bounced', 'failed', 'in_doubt',
    'suppressed', 'withdrawn', 'expired', 'canceled'
);

create table recipients (
    message_id     text not null,
    contact_id     bigint not null, -- no foreign key: the row outlives the contact
    address        text not null,   -- frozen when the row is inserted
    address_key    text not null,
    status         recipient_status not null default 'pending',
    due_at         timestamptz not null,
    position       bigint not null, -- joiners stand behind all others
    batch          int not null default 0, -- the turn of its throttle batch; -1: in none yet. Unthrottled: all in 0
    claim_token    uuid,            -- stays on the settled row: a late settle must match it
    attempts       smallint not null default 0, -- tries that count
    first_try_at   timestamptz,     -- by the workflow's clock
    next_try_at    timestamptz,     -- of a deferred row
    handed_over_at timestamptz,
    settled_at     timestamptz,
    smtp_code      smallint,
    enhanced_code  text,
    reply          text,
    reason         text,
    primary key (message_id, contact_id),
    unique (message_id, address_key) -- one address, one email
);

-- Whether somebody is still to be mailed. In the words of the two indexes that follow, so that these are used: who is
-- in no batch yet is never deferred.
create function is_waiting(status recipient_status, batch int) returns boolean immutable language sql as
$$
    select status in ('pending', 'deferred') and batch >= 0 or status = 'pending' and batch = -1
$$;

-- What a claim may take, oldest first.
create index recipients_waiting on recipients (message_id, coalesce(next_try_at, due_at), position)
    where status in ('pending', 'deferred') and batch >= 0;
-- Whom the next throttle batch takes.
create index recipients_unbatched on recipients (message_id, due_at, position)
    where status = 'pending' and batch = -1;

-- What is in flight: a row for every claim that has unsettled rows. It is what the leases, the quiet check and the end
-- of a send look at; an index of the ledger's claimed rows instead would cost a claim and a settle a third more, since
-- its entries die as fast as they come.
create table claims (
    token       uuid primary key,     -- `recipients.claim_token`
    message_id  text not null,
    contact_ids bigint[] not null,    -- whom it took
    unsettled   int not null,         -- of these, how many are `claimed` still
    lease_until timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index claims_of_message on claims (message_id);

-- The counts are kept, not counted, by slot and throttle batch: a reader sums the message's rows. Every lane has rows
-- of its own, so that lanes never wait for each other.
create table recipient_counts (
    message_id text not null,
    lane       text not null,
    due_at     timestamptz not null,
    batch      int not null,
    status     recipient_status not null,
    number     bigint not null,
    primary key (message_id, lane, due_at, batch, status)
) with (fillfactor = 50);
-- A throttled send looks at its last batches often, and may have thousands.
create index recipient_counts_by_batch on recipient_counts (message_id, batch);

-- One trigger adds the signed changes of every statement, whoever wrote it: no statement can forget to count.
-- The lane is what the transaction says it is (`set_config('sendgate.lane', …, true)`).
create function keep_counts() returns trigger language plpgsql as $$
declare
    this_lane text := coalesce(nullif(current_setting('sendgate.lane', true), ''), 'bookkeeping');
begin
    if tg_op = 'INSERT' then
        insert into recipient_counts as kept (message_id, lane, due_at, batch, status, number)
        select message_id, this_lane, due_at, batch, status, count(*) from rows_after
         group by message_id, due_at, batch, status
         order by message_id, due_at, batch, status -- one order of locks for everybody
            on conflict (message_id, lane, due_at, batch, status)
            do update set number = kept.number + excluded.number;
    else
        insert into recipient_counts as kept (message_id, lane, due_at, batch, status, number)
        select message_id, this_lane, due_at, batch, status, sum(change)
          from (select message_id, due_at, batch, status, 1 as change from rows_after
                union all
                select message_id, due_at, batch, status, -1 from rows_before) as changes
         group by message_id, due_at, batch, status having sum(change) <> 0
         order by message_id, due_at, batch, status
            on conflict (message_id, lane, due_at, batch, status)
            do update set number = kept.number + excluded.number;
    end if;
    return null;
end $$;

create trigger count_inserts after insert on recipients referencing new table as rows_after
    for each statement execute function keep_counts();
create trigger count_updates after update on recipients referencing old table as rows_before new table as rows_after
    for each statement execute function keep_counts();

create function never_deleted() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are never deleted', tg_table_name;
end $$;
create trigger never_deleted before delete or truncate on recipients execute function never_deleted();
