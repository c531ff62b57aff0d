-- name: lock!
-- Waits for the claims and beginnings under way, which hold it shared; every later one sees the hold.
select pg_advisory_xact_lock(hold_lock());

-- name: say_who$
-- What the history of the hold takes from this transaction; it is forgotten with its end.
select set_config('sendgate.actor', :actor, true) || set_config('sendgate.reason', :reason, true)
    || set_config('sendgate.source', :source, true);

-- name: put!
-- Who put it first is who put it: to ask again changes nothing.
insert into hold (actor, reason) values (:actor, :reason) on conflict do nothing;

-- name: get^
select h.actor, h.reason, h.since, (select coalesce(sum(unsettled), 0) from claims) as in_flight
  from (select 1) as always left join hold as h on true;

-- name: release$
delete from hold returning true;

-- name: history
-- The latest first, behind the one with the id `after`.
select id, act, actor, reason, source, at from hold_history
 where (cast(:after as bigint) is null or id < :after)
 order by id desc
 limit :most;
