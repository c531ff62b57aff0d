-- name: insert^
-- No row: a key of this name is in use.
insert into api_keys (name, role, key_hash, begins_with)
values (:name, :role, :key_hash, :begins_with)
on conflict (name) where revoked_at is null do nothing
returning id, name, role, begins_with, created_at, revoked_at;

-- name: by_hash^
select id, name, role from api_keys where key_hash = :key_hash and revoked_at is null;

-- name: all_keys
select id, name, role, begins_with, created_at, revoked_at from api_keys order by id;

-- name: revoke^
-- Revoking again changes nothing: the first instant is kept.
update api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where id = :key_id
returning id, name, role, begins_with, created_at, revoked_at;

-- name: any_in_use$
select exists (select from api_keys where revoked_at is null);
