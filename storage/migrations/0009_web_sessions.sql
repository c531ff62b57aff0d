-- Who is signed in to the web UI. Of the cookie and of the API key only their SHA-256 are kept; that the key is still
-- good is asked at every page, so a session ends with its key.
create table web_sessions (
    token_hash bytea primary key,
    key_hash   bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index web_sessions_by_end on web_sessions (expires_at);
