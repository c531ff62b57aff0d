-- Whoever closes a gate says so, in the same commit, so that lanes give back at once what nobody has begun to hand over.
-- It is a hint and no more: nothing is claimed through a closed gate, whether or not anybody heard of it.
create function say_gate_closed() returns trigger language plpgsql as $$
begin
    perform pg_notify('gate_closed', new.id);
    return null;
end $$;

create trigger gate_closed after update of gate_open on messages
    for each row when (old.gate_open and not new.gate_open) execute function say_gate_closed();

-- The hold closes all of them: its news names no message.
create function say_hold_put() returns trigger language plpgsql as $$
begin
    perform pg_notify('gate_closed', '');
    return null;
end $$;

create trigger hold_put after insert on hold for each row execute function say_hold_put();
