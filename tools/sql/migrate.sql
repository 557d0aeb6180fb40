-- name: lock_migrations
select pg_advisory_lock(%s);

-- name: keep_migrations
create table if not exists schema_migrations (
    name text primary key,
    applied_at timestamptz not null default now()
);

-- name: applied_migrations
select name from schema_migrations;

-- name: migration_applied
insert into schema_migrations (name) values (%s);
