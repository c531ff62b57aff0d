-- Every hold that was put, and every release. Append-only.
create table hold_history (
    id     bigint generated always as identity primary key,
    act    text not null check (act in ('put', 'released')),
    actor  text not null,
    reason text not null default '',
    source text not null,
    at     timestamptz not null default clock_timestamp()
);

-- The table `hold` writes it itself, in the transaction of the change: so it also has what is done by hand in SQL, which
-- is what remains in an emergency. Who releases, why, and through what either is done, is what the transaction says of
-- itself in the settings `sendgate.actor`, `sendgate.reason` and `sendgate.source`.
create function note_hold() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into hold_history (act, actor, reason, source, at)
        values ('put', new.actor, new.reason, coalesce(nullif(current_setting('sendgate.source', true), ''), 'sql'), new.since);
    else
        insert into hold_history (act, actor, reason, source)
        values ('released', coalesce(nullif(current_setting('sendgate.actor', true), ''), session_user),
                coalesce(current_setting('sendgate.reason', true), ''),
                coalesce(nullif(current_setting('sendgate.source', true), ''), 'sql'));
    end if;
    return null;
end $$;
create trigger hold_is_noted after insert or delete on hold for each row execute function note_hold();

-- A hold that is on while the schema is brought up to date: through what it was put was not kept.
insert into hold_history (act, actor, reason, source, at) select 'put', actor, reason, 'unknown', since from hold;
