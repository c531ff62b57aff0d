-- name: lock!
-- Waits for the claims and beginnings under way, which hold it shared; every later one sees the hold.
select pg_advisory_xact_lock(hold_lock());

-- name: put!
-- Who put it first is who put it: to ask again changes nothing.
insert into hold (actor, reason) values (:actor, :reason) on conflict do nothing;

-- name: get^
select h.actor, h.reason, h.since, (select coalesce(sum(unsettled), 0) from claims) as in_flight
  from (select 1) as always left join hold as h on true;

-- name: release$
delete from hold returning true;
