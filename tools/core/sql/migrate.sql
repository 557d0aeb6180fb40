-- name: limits
-- An operator's limits are for requests. A table that somebody else uses is waited for a while only.
select set_config('statement_timeout', '0', true), set_config('lock_timeout', '30s', true);

-- name: try_lock
select pg_try_advisory_xact_lock(%(key)s) as locked;

-- name: lock_holder
select a.pid, a.application_name, a.state, date_trunc('second', a.state_change)::text as since
from pg_locks as l
join pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.classid::bigint = %(key)s::bigint >> 32 and l.objid::bigint = %(key)s::bigint & 4294967295
  and l.database = (select oid from pg_database where datname = current_database());

-- name: keep_migrations
create table if not exists schema_migrations (
    name text primary key,
    applied_at timestamptz not null default now()
);
alter table schema_migrations add column if not exists oldest_code integer;

-- name: is_applied
select true as applied from schema_migrations where name = %(name)s;

-- name: migration_applied
insert into schema_migrations (name, oldest_code) values (%(name)s, %(oldest_code)s);
