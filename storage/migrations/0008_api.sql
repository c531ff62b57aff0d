-- What the REST API needs beside the rest: who may ask, and what was answered.

-- Keys. Of a key only its SHA-256 is kept; a revoked one stays, since receipts name it.
create table api_keys (
    id          bigint generated always as identity primary key,
    name        text not null,
    role        text not null check (role in ('viewer', 'operator', 'editor', 'admin')),
    key_hash    bytea not null unique,
    begins_with text not null,
    created_at  timestamptz not null default clock_timestamp(),
    revoked_at  timestamptz
);
-- A receipt names who did it: two people of one name could not be told apart.
create unique index api_keys_in_use on api_keys (name) where revoked_at is null;

-- Answers to calls that carried an Idempotency-Key, kept for a day. `status` is null while the first call is at work,
-- which says so by renewing `leased_until`.
create table api_answers (
    principal       bigint not null, -- the id of its key; 0: the administrator's of the settings
    idempotency_key text not null,
    request_hash    bytea not null,
    leased_until    timestamptz not null,
    status          int,
    headers         jsonb,
    body            bytea,
    created_at      timestamptz not null default clock_timestamp(),
    primary key (principal, idempotency_key)
);
create index api_answers_by_age on api_answers (created_at);

-- Contacts are looked for by the beginning of their address, whatever the database's collation.
create index contacts_by_beginning on contacts (address_key text_pattern_ops);
