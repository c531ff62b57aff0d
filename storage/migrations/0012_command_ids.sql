-- Whoever asks chooses the command's id, and may give one id to several messages, or to two verbs: a signal to whatever
-- a query finds carries one argument for all. What makes a command the same again is its message, its verb and the id
-- it was given. Where the id is another command's already, it is recorded under one of its own that is derived from it.
alter table commands add column asked_as text; -- the id that it was given, where it is recorded under another
create unique index commands_asked_as on commands (message_id, verb, asked_as) where asked_as is not null;

-- The id under which a message's command is recorded; null when it was never asked.
create function recorded_id(p_message_id text, p_verb text, p_command_id text) returns text language sql stable as
$$
    select command_id from commands
     where message_id = p_message_id and verb = p_verb and (command_id = p_command_id or asked_as = p_command_id)
$$;

-- Record a command as asked, once; returns whether it has been answered already.
--
-- The id that it was given, if nobody else has that. Else `id/MESSAGE` where another message has it, `id/VERB` where
-- this one's other verb has it, and so on until it is one that nobody has.
create function ask(
    p_command_id text, p_message_id text, p_generation int, p_verb text, p_actor text, p_reason text, p_source text,
    p_requested_at timestamptz, p_details jsonb
) returns boolean language plpgsql as $$
declare
    own_id text := p_command_id;
    holder commands;
begin
    while recorded_id(p_message_id, p_verb, p_command_id) is null loop
        insert into commands (command_id, asked_as, message_id, generation, verb, actor, reason, source, requested_at, details)
        values (own_id, nullif(p_command_id, own_id), p_message_id, p_generation, p_verb, p_actor, p_reason, p_source,
                p_requested_at, p_details)
            on conflict do nothing;
        if not found then
            select * into holder from commands where command_id = own_id;
            own_id := own_id || '/' || case when holder.message_id = p_message_id then p_verb else p_message_id end;
        end if;
    end loop;
    return exists (select from receipts where command_id = recorded_id(p_message_id, p_verb, p_command_id));
end $$;

-- As before, but for the id: what is answered, and looked for as answered, is this message's own command of this verb.
create or replace function confirm_stop(
    p_message_id text, p_generation int, p_number bigint, p_command_id text, p_verb text
) returns text language plpgsql as $$
declare
    own_id text := recorded_id(p_message_id, p_verb, p_command_id);
    message messages;
    quiet_at timestamptz;
    target message_status := case p_verb when 'pause' then 'paused' else 'canceled' end;
begin
    if exists (select from receipts where command_id = own_id) then -- repeated after a lost answer
        return coalesce((select status::text from messages where id = p_message_id and generation = p_generation),
                        'superseded');
    end if;
    perform lapse_leases(p_message_id);
    select * into message from messages where id = p_message_id and generation = p_generation for update;
    if not found then
        return 'superseded';
    end if;
    if message.status in ('sent', 'canceled', 'draft') then -- overtaken, by the last email for one
        perform answer(own_id, p_message_id, 'done', clock_timestamp(), 'sending', message.status, null);
        return message.status;
    end if;
    if message.gate_open or message.gate_number > p_number then
        perform answer(own_id, p_message_id, 'superseded', null, message.status, message.status,
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
    perform answer(own_id, p_message_id, 'done', quiet_at, message.status, target, null);
    return target;
end $$;
