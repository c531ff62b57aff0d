-- People, and the two things an audience is made of: lists and suppressions.

create table contacts (
    id          bigint generated always as identity primary key,
    address     text not null,
    -- NFC, lower case, IDNA domain (models.contact.address_key): one address is one contact.
    address_key text not null unique,
    time_zone   text,
    attributes  jsonb not null default '{}',
    created_at  timestamptz not null default clock_timestamp(),
    updated_at  timestamptz not null default clock_timestamp()
);

create table lists (
    id         bigint generated always as identity primary key,
    name       text not null unique,
    created_at timestamptz not null default clock_timestamp()
);

create table list_members (
    list_id    bigint not null references lists on delete cascade,
    contact_id bigint not null references contacts on delete cascade,
    primary key (list_id, contact_id)
);
create index list_members_contact on list_members (contact_id);

-- Addresses that are never mailed: unsubscribed, complained, or named by an operator. By address and not by
-- contact, so that it outlives the contact.
create table suppressions (
    id          bigint generated always as identity primary key,
    address     text not null,
    address_key text not null unique,
    reason      text not null default '',
    created_at  timestamptz not null default clock_timestamp()
);

-- What the conditions of an audience compare: a value that does not read as one is null, and null never matches.
-- The patterns come first because the casts take much more: nan, infinity, 0x1f, 1_000, "today", dates BC. They let
-- through only what the casts can take; [0-9] because \d may match the digits of any script.
create function number_or_null(value text) returns numeric language sql immutable parallel safe as
$$ select case when trim(value) ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$'
               then trim(value)::numeric end $$;

-- An ISO 8601 date or date-time (models.audience has the same pattern); UTC unless it says otherwise, whatever the
-- zone of the session.
create function instant_or_null(value text) returns timestamptz language sql stable parallel safe as
$$ select case when trim(value) !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-5]):?[0-5][0-9])?)?$'
                 or not pg_input_is_valid(trim(value), 'timestamptz') then null
               when trim(value) ~ '[T ].*[Z+-]' then trim(value)::timestamptz
               else trim(value)::timestamp at time zone 'UTC' end $$;
