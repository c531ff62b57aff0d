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

-- The ordering operators of an audience's conditions: a value that does not parse is null, and null never matches.
create function number_or_null(value text) returns numeric language sql immutable parallel safe as
$$ select case when pg_input_is_valid(trim(value), 'numeric') then trim(value)::numeric end $$;

create function instant_or_null(value text) returns timestamptz language sql stable parallel safe as
$$ select case when value ~ '^\s*\d{4}-\d{2}-\d{2}' and pg_input_is_valid(value, 'timestamptz')
               then value::timestamptz end $$;
