-- name: create_incoming#
-- What the file holds, until the end of the transaction.
create temporary table incoming (
    line bigint not null, address text not null, address_key text not null, time_zone text, attributes text not null
) on commit drop;

-- name: analyze_incoming#
-- Nobody else does it for a temporary table, and the merge would be planned for a handful of rows.
analyze incoming;

-- name: repeated_addresses
-- The first good line of an address wins. `repeated` is how many there are; the first of them are named.
select line, first_line, count(*) over () as repeated
  from (select line, min(line) over (partition by address_key) as first_line from incoming) as incoming
 where line > first_line
 order by line
 limit :most;

-- name: create_list!
-- Waits for nobody unless another import is about to create the same list.
insert into lists (name) values (:name) on conflict (name) do nothing;

-- name: list_id$
-- A statement of its own, since only a fresh snapshot sees what the other import has created meanwhile.
select id from lists where name = :name;

-- name: merge_incoming^
-- In the order of the keys, so that two imports at once wait for each other and never deadlock; the contacts that the
-- statement has locked are then put on the list in the same transaction. xmax is 0 in a row that was inserted and the
-- locker in one that was updated.
with merged as (
    insert into contacts as c (address, address_key, time_zone, attributes)
    select address, address_key, time_zone, attributes::jsonb
      from (select distinct on (address_key) * from incoming order by address_key, line) as firsts
     order by address_key
        on conflict (address_key) do update
       set time_zone = coalesce(excluded.time_zone, c.time_zone),
           attributes = c.attributes || excluded.attributes,
           updated_at = clock_timestamp()
    returning c.id, c.xmax = 0 as created
), joined as (
    insert into list_members (list_id, contact_id)
    select :list_id::bigint, id from merged where :list_id::bigint is not null order by id
        on conflict do nothing
)
select count(*) filter (where created) as created, count(*) filter (where not created) as updated from merged;
