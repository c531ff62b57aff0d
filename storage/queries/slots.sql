-- name: counts
-- The kept counts by slot and batch.
select due_at, batch, jsonb_object_agg(status, number) as counts
  from (select due_at, batch, status, sum(number) as number from recipient_counts
         where message_id = :message_id group by due_at, batch, status having sum(number) <> 0) as summed
 group by due_at, batch;

-- name: counts_of_batches
-- The same of some batches alone.
select due_at, batch, jsonb_object_agg(status, number) as counts
  from (select due_at, batch, status, sum(number) as number from recipient_counts
         where message_id = :message_id and batch = any (cast(:batches as int[]))
         group by due_at, batch, status having sum(number) <> 0) as summed
 group by due_at, batch;

-- name: zones
select due_at, zones from slots where message_id = :message_id;

-- name: batches
select turn, opened_at, size from batches where message_id = :message_id order by turn;

-- name: last_batches
select turn, opened_at, size from batches where message_id = :message_id order by turn desc limit :most;

-- name: limits^
select first_turn_at, ends_at from messages where id = :message_id;

-- name: turns^
-- Of a throttled send that has begun: the last batch, and who is in none yet.
select m.first_turn_at, m.ends_at, latest.turn as latest, unbatched(m.id) as waiting,
       latest.turn is not null and unfinished_of_batch(m.id, latest.turn) > 0 as unfinished,
       (select min(due_at) from recipients
         where message_id = m.id and status = 'pending' and batch = -1) as first_waiting_at
  from messages m
 cross join lateral (select max(turn) as turn from batches where message_id = m.id) as latest
 where m.id = :message_id and m.first_turn_at is not null;

-- name: open_batch$
select open_batch(:message_id, :generation, :gate_number, :turn, :batch_size, :max_batches, :as_of);

-- name: fill_batch$
select fill_batch(:message_id, :turn, :batch_size, :max_batches, :as_of);

-- name: expire_unbatched$
select expire_unbatched(:message_id);

-- name: note_zones!
-- Zones in which recipients become due at an instant, the largest first.
insert into slots as known (message_id, due_at, zones) values (:message_id, :due_at, :zones)
    on conflict (message_id, due_at) do update
       set zones = known.zones || array(select unnest(excluded.zones) except select unnest(known.zones));
