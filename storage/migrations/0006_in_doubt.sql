-- Who is in doubt: the rows that wait for an operator's decision.

create index recipients_in_doubt on recipients (message_id, contact_id) where status = 'in_doubt';

-- The send is over when nobody is left and nothing closed the gate meanwhile. Returns the status.
--
-- The message is locked first, and only then, in a statement of its own and so with a fresh snapshot, is it looked
-- whether somebody is left: a recipient may be returned from in doubt at that very moment, under the same lock. In one
-- statement that would be missed, and somebody would wait for ever in a message that is sent.
create function finish(p_message_id text, p_generation int) returns message_status language plpgsql as $$
begin
    perform from messages where id = p_message_id and generation = p_generation for update;
    update messages
       set status = 'sent', gate_open = false, finished_at = clock_timestamp(), updated_at = clock_timestamp()
     where id = p_message_id and generation = p_generation and status = 'sending' and gate_open
       and not exists (select from recipients where message_id = p_message_id and is_waiting(status, batch))
       and not exists (select from claims where message_id = p_message_id);
    return (select status from messages where id = p_message_id and generation = p_generation);
end $$;
