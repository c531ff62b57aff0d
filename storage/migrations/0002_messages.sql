-- Messages, and what was asked of them.

create type message_status as enum ('draft', 'scheduled', 'sending', 'paused', 'sent', 'canceled');

create table messages (
    id             text primary key,
    name           text not null,
    from_address   text not null,
    from_name      text not null default '',
    reply_to       text,
    subject        text not null,
    html           text,
    text           text,
    audience       jsonb not null,
    status         message_status not null default 'draft',
    schedule       jsonb,
    plan           jsonb,
    -- One scheduling of the message; part of the workflow's id.
    generation     int not null default 0,
    -- May lanes claim? Beside the status: while a stop takes hold the status stays `sending`.
    gate_open      boolean not null default false,
    -- The number, within the generation, of the command that set the gate last. A lower number changes nothing.
    gate_number    bigint not null default -1,
    accepted_at    timestamptz,
    adopted_at     timestamptz,
    began_at       timestamptz,
    finished_at    timestamptz,
    next_slot_at   timestamptz,
    -- When it was looked last whether somebody is due, and nobody was.
    looked_at      timestamptz,
    -- Throttled: when turn 0 is, set when the send begins, and from when on no batch opens.
    first_turn_at  timestamptz,
    ends_at        timestamptz,
    -- Unscheduled, but the terminate of that generation's workflow is not known to have succeeded.
    terminate_generation int,
    copied_from    text,
    created_at     timestamptz not null default clock_timestamp(),
    updated_at     timestamptz not null default clock_timestamp()
);
create index messages_by_status on messages (status, created_at desc);
create index messages_by_creation on messages (created_at desc, id);
create index messages_to_terminate on messages (id) where terminate_generation is not null;

-- The kill switch over all messages: while its one row exists nothing begins and nothing is claimed.
create table hold (
    only_row  boolean primary key default true check (only_row),
    actor     text not null,
    reason    text not null,
    since     timestamptz not null default clock_timestamp()
);

-- Asked. Append-only.
create table commands (
    number       bigint generated always as identity unique,
    command_id   text primary key,
    message_id   text not null,
    generation   int not null,
    verb         text not null,
    actor        text not null,
    reason       text not null default '',
    source       text not null,
    requested_at timestamptz not null,
    details      jsonb not null default '{}'
);
create index commands_of_message on commands (message_id, number);

-- Answered. Append-only: one answer to a command, ever.
create table receipts (
    number        bigint generated always as identity unique,
    command_id    text primary key references commands,
    message_id    text not null,
    outcome       text not null check (outcome in ('done', 'refused', 'superseded')),
    effective_at  timestamptz,
    status_before message_status not null,
    status_after  message_status not null,
    counts        jsonb,
    explanation   text,
    answered_at   timestamptz not null default clock_timestamp()
);
create index receipts_of_message on receipts (message_id, number desc);

create function append_only() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end $$;
create trigger append_only before update or delete or truncate on commands execute function append_only();
create trigger append_only before update or delete or truncate on receipts execute function append_only();

-- The two locks a claim takes, in this order: the hold's, then the message's.
create function hold_lock() returns bigint language sql immutable as $$ select hashtextextended('hold', 5) $$;
create function message_lock(message_id text) returns bigint language sql immutable as
$$ select hashtextextended('message/' || message_id, 5) $$;

-- The latest command to the message's workflow that has no answer yet.
create function unanswered_command(m messages) returns text language sql stable as
$$
    select c.verb from commands c
     where c.message_id = m.id and c.generation = m.generation and c.verb in ('pause', 'resume', 'cancel')
       and m.status in ('scheduled', 'sending', 'paused')
       and not exists (select from receipts r where r.command_id = c.command_id)
     order by c.number desc limit 1
$$;
