-- name: begin$
-- Take the key for this request: nobody has it, or who had it fell silent before there was an answer, or the day is
-- over. The row count is the answer; two at once cannot both win.
insert into api_answers as kept (principal, idempotency_key, request_hash, leased_until)
values (:principal, :idempotency_key, :request_hash, clock_timestamp() + cast(:lease as interval))
    on conflict (principal, idempotency_key) do update
   set request_hash = excluded.request_hash, leased_until = excluded.leased_until, status = null, headers = null,
       body = null, created_at = clock_timestamp()
 where kept.created_at < clock_timestamp() - cast(:kept_for as interval)
    or kept.status is null and kept.leased_until < clock_timestamp() and kept.request_hash = excluded.request_hash
returning true;

-- name: kept^
select request_hash, status, headers, body from api_answers
 where principal = :principal and idempotency_key = :idempotency_key;

-- name: renew!
update api_answers set leased_until = clock_timestamp() + cast(:lease as interval)
 where principal = :principal and idempotency_key = :idempotency_key and status is null;

-- name: keep!
update api_answers set status = :status, headers = :headers, body = :body
 where principal = :principal and idempotency_key = :idempotency_key;

-- name: forget!
-- Nothing was done, so that the key may be used again.
delete from api_answers where principal = :principal and idempotency_key = :idempotency_key and status is null;

-- name: sweep!
delete from api_answers where created_at < clock_timestamp() - cast(:kept_for as interval);
