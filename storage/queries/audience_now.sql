-- name: drop!
drop table if exists pg_temp.audience_now;

-- name: create!
create temporary table audience_now (
    contact_id bigint, address text, address_key text, zone text, suppressed boolean, due_at timestamptz,
    skipped boolean
) on commit drop;

-- name: index_contact!
create index on audience_now (contact_id);

-- name: index_address!
create index on audience_now (address_key);

-- name: analyze!
analyze audience_now;

-- name: withdraw_leavers$
-- Unsent recipients who are no longer in the audience.
with gone as (
    update recipients r set status = 'withdrawn', settled_at = clock_timestamp(), reason = 'left the audience'
     where r.message_id = :message_id and r.status in ('pending', 'deferred')
       and not exists (select from audience_now a where a.contact_id = r.contact_id)
    returning 1)
select count(*) from gone;

-- name: pass_on$
-- An unsent row whose address belongs to another contact of the audience now (deleted and imported again) is that
-- contact's from here on, unless that contact has a row already.
with passed as (
    update recipients r set contact_id = a.contact_id
      from audience_now a
     where r.message_id = :message_id and r.address_key = a.address_key and r.contact_id <> a.contact_id
       and r.status in ('pending', 'deferred', 'suppressed', 'withdrawn')
       and not exists (select from recipients other
                        where other.message_id = r.message_id and other.contact_id = a.contact_id)
    returning 1)
select count(*) from passed;

-- name: suppress_unsent$
with stopped as (
    update recipients r set status = 'suppressed', settled_at = clock_timestamp(),
           reason = (select s.reason from suppressions s where s.address_key = r.address_key)
     where r.message_id = :message_id and r.status in ('pending', 'deferred')
       and exists (select from suppressions s where s.address_key = r.address_key)
    returning 1)
select count(*) from stopped;

-- name: bring_back
-- Withdrawn or suppressed recipients whose cause is gone: in the audience, and not suppressed. They are due as joiners
-- are, and as these in no throttle batch.
with returned as (
    update recipients r set status = 'pending', due_at = a.due_at, batch = :batch, settled_at = null, reason = null
      from audience_now a
     where r.message_id = :message_id and r.contact_id = a.contact_id and not a.skipped
       and r.status in ('withdrawn', 'suppressed')
       and not exists (select from suppressions s where s.address_key = r.address_key)
    returning a.due_at, a.zone)
select due_at, zone, count(*) as contacts from returned group by due_at, zone;

-- name: move_to_zones
-- Unsent recipients whose zone was edited and whose instant is another one now. Members of an open throttle batch, and
-- whoever is due at once before and after, stay.
with moved as (
    update recipients r set due_at = a.due_at
      from audience_now a
     where r.message_id = :message_id and r.contact_id = a.contact_id and not a.skipped
       and r.status = 'pending' and r.attempts = 0 and r.batch = :batch
       and r.due_at <> a.due_at and greatest(r.due_at, a.due_at) > :as_of
    returning a.due_at, a.zone)
select due_at, zone, count(*) as contacts from moved group by due_at, zone;

-- name: zones_of_joiners
-- The zones of contacts who are about to become recipients, at the instants at which they will be due.
select a.due_at, a.zone, count(*) as contacts from audience_now a
 where not a.skipped
   and not exists (select from recipients r where r.message_id = :message_id and r.contact_id = a.contact_id)
 group by a.due_at, a.zone;

-- name: add_joiners$
-- Contacts who came into the audience stand behind all others. Those of zones that are skipped have expired.
with joined as (
    insert into recipients (message_id, contact_id, address, address_key, status, due_at, position, batch,
                            settled_at, reason)
    select :message_id, a.contact_id, a.address, a.address_key,
           case when a.suppressed then 'suppressed' when a.skipped then 'expired' else 'pending' end::recipient_status,
           a.due_at,
           coalesce((select max(position) from recipients where message_id = :message_id), 0)
               + row_number() over (order by a.contact_id),
           :batch,
           case when a.suppressed or a.skipped then clock_timestamp() end,
           case when a.suppressed then (select s.reason from suppressions s where s.address_key = a.address_key)
                when a.skipped then 'zone_passed' end
      from audience_now a
     where not exists (select from recipients r where r.message_id = :message_id and r.contact_id = a.contact_id)
        on conflict do nothing
    returning 1)
select count(*) from joined;

-- name: first_due_at$
-- When the first contact of the audience is due whom a send would mail.
select min(due_at) from audience_now where not suppressed and not skipped;
