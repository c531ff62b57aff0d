-- name: page_of_contacts
-- By id after the last one seen, so that a page costs the same however far in it lies.
select c.*, s.reason as suppressed, n.lists
  from contacts as c
  left join suppressions as s using (address_key)
 cross join lateral (select array(select l.name from list_members as m join lists as l on l.id = m.list_id
                                   where m.contact_id = c.id order by l.name) as lists) as n
 where c.id > :after
 order by c.id limit :limit;

-- name: search
-- Whose address begins like this, on a list or anywhere. The pattern has no wildcard but its last character.
select c.*, s.reason as suppressed, n.lists
  from contacts as c
  left join suppressions as s using (address_key)
 cross join lateral (select array(select l.name from list_members as m join lists as l on l.id = m.list_id
                                   where m.contact_id = c.id order by l.name) as lists) as n
 where c.id > :after and c.address_key like :pattern
   and (cast(:list_id as bigint) is null
        or exists (select from list_members as m where m.list_id = :list_id and m.contact_id = c.id))
 order by c.id limit :limit;

-- name: address_mailed$
-- Where the email went: the ledger's frozen address; or the contact's, of somebody who is in no ledger yet.
select coalesce((select address from recipients where message_id = :message_id and contact_id = :contact_id),
                (select address from contacts where id = :contact_id));

-- name: page_of_members
-- The same of one list; its own statement, so that the list's index gives the order.
select c.*, s.reason as suppressed, n.lists
  from (select contact_id from list_members
         where list_id = :list_id and contact_id > :after order by contact_id limit :limit) as page
  join contacts as c on c.id = page.contact_id
  left join suppressions as s using (address_key)
 cross join lateral (select array(select l.name from list_members as m join lists as l on l.id = m.list_id
                                   where m.contact_id = c.id order by l.name) as lists) as n
 order by c.id;

-- name: contact_by_id^
select c.*, s.reason as suppressed, n.lists
  from contacts as c
  left join suppressions as s using (address_key)
 cross join lateral (select array(select l.name from list_members as m join lists as l on l.id = m.list_id
                                   where m.contact_id = c.id order by l.name) as lists) as n
 where c.id = :contact_id;

-- name: contact_id_of$
select id from contacts where address_key = :address_key;

-- name: insert_contact$
-- No row: the address is a contact already.
insert into contacts (address, address_key, time_zone, attributes)
values (:address, :address_key, :time_zone, :attributes)
on conflict (address_key) do nothing
returning id;

-- name: update_contact$
-- Attributes are merged in the statement, so that two changes at once both count. No row: no such contact.
update contacts
   set address = coalesce(:address::text, address),
       address_key = coalesce(:address_key::text, address_key),
       time_zone = case when :change_time_zone::boolean then :time_zone::text else time_zone end,
       attributes = (attributes || :attributes::jsonb) - :removed::text[],
       updated_at = clock_timestamp()
 where id = :contact_id
returning id;

-- name: delete_contact$
-- Ledger rows and suppressions stay: both go by address.
delete from contacts where id = :contact_id returning id;

-- name: list_id$
select id from lists where name = :name;

-- name: list_summaries
-- Each is counted by its part of the index: a join of all members takes four times as long.
select l.name, (select count(*) from list_members as m where m.list_id = l.id) as contacts
  from lists as l order by l.name;

-- name: list_summary^
select l.name, (select count(*) from list_members as m where m.list_id = l.id) as contacts
  from lists as l where l.name = :name;

-- name: create_list!
insert into lists (name) values (:name) on conflict (name) do nothing;

-- name: add_member!
insert into list_members (list_id, contact_id) values (:list_id, :contact_id) on conflict do nothing;

-- name: remove_member!
delete from list_members where list_id = :list_id and contact_id = :contact_id;

-- name: suppress$
-- In the order of the keys: two who suppress the same addresses at once wait for each other and never deadlock.
-- Who is suppressed already keeps the first reason: an unsubscription must not be covered up.
with added as (
    insert into suppressions (address, address_key, reason)
    select address, address_key, :reason
      from unnest(:addresses::text[], :address_keys::text[]) as given (address, address_key)
     order by address_key
        on conflict (address_key) do nothing
    returning 1
)
select count(*) from added;

-- name: unsuppress$
with gone as (delete from suppressions where address_key = any(:address_keys::text[]) returning 1)
select count(*) from gone;

-- name: page_of_suppressions
select id, address, reason, created_at from suppressions
 where id > :after and (cast(:pattern as text) is null or address_key like :pattern)
 order by id limit :limit;

-- name: delete_suppression$
delete from suppressions where id = :suppression_id returning id;
