-- name: insert!
insert into web_sessions (token_hash, key_hash, expires_at)
values (:token_hash, :key_hash, clock_timestamp() + cast(:lifetime as interval));

-- name: key_hash_of$
select key_hash from web_sessions where token_hash = :token_hash and expires_at > clock_timestamp();

-- name: delete!
delete from web_sessions where token_hash = :token_hash;

-- name: delete_expired!
-- Looked for at every sign-in: there are never many.
delete from web_sessions where expires_at <= clock_timestamp();
