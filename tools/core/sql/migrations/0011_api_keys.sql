-- Keys that `checkerboard keys` makes (serve/keys/), beside those of the environment. What a caller sends is stored nowhere: of
-- 256 random bits the SHA-256 is as good as a slow hash, because nobody can guess at them.
-- oldest code: 0010
create table api_keys (
    id bigint generated always as identity primary key,
    -- Of the caller, who owns what was made with it: a key that takes another's place has the same.
    name text not null,
    hash text not null unique check (hash ~ '^[0-9a-f]{64}$'),
    role text not null check (role in ('client', 'admin')),
    -- Null: the service's default.
    requests_per_minute integer check (requests_per_minute > 0),
    runs_at_once integer check (runs_at_once > 0),
    tokens_per_day bigint check (tokens_per_day > 0),
    usd_per_month numeric(12, 2) check (usd_per_month > 0),
    created_at timestamptz not null default now(),
    -- To the minute: workers write it in batches.
    last_used_at timestamptz,
    -- Until when a key counts whose place another has taken.
    expires_at timestamptz,
    revoked_at timestamptz
);
-- A name has one key that stays; those that it replaces end.
create unique index on api_keys (name) where revoked_at is null and expires_at is null;

-- Another one after every statement that changed who may call: workers look at it each second. When a key was used last is
-- no such change.
create table api_keys_version (
    only_row boolean primary key default true check (only_row),
    version uuid not null default gen_random_uuid()
);
insert into api_keys_version default values;

create function new_api_keys_version() returns trigger language plpgsql as $$
begin
    update api_keys_version set version = gen_random_uuid();
    return null;
end
$$;
create trigger new_api_keys_version
after insert or delete or truncate
or update of name, hash, role, requests_per_minute, runs_at_once, tokens_per_day, usd_per_month, expires_at, revoked_at
on api_keys for each statement execute function new_api_keys_version();
