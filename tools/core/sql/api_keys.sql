-- name: version
select version from api_keys_version;

-- name: are_stored
select exists (select from api_keys) as stored;

-- name: in_force
-- The version with them, of one moment. A row of nulls where there is no key.
select
    v.version, k.id, k.hash, k.name, k.role,
    extract(epoch from k.expires_at - now())::double precision as seconds_left,
    k.requests_per_minute, k.runs_at_once, k.tokens_per_day, k.usd_per_month
from api_keys_version as v
left join api_keys as k on k.revoked_at is null and (k.expires_at is null or k.expires_at > now());

-- name: create
insert into api_keys (name, hash, role, requests_per_minute, runs_at_once, tokens_per_day, usd_per_month)
values (
    %(name)s, %(hash)s, %(role)s, %(requests_per_minute)s, %(runs_at_once)s, %(tokens_per_day)s, %(usd_per_month)s
);

-- name: newest
-- The key of a name that stays, locked: two that replace it come one after the other.
select id, role, requests_per_minute, runs_at_once, tokens_per_day, usd_per_month
from api_keys
where name = %(name)s and revoked_at is null and expires_at is null
for update;

-- name: end_in
-- All keys of a name, those that were replaced before too, unless they end sooner.
update api_keys
set expires_at = least(expires_at, now() + make_interval(secs => %(seconds)s))
where name = %(name)s and revoked_at is null;

-- name: revoke
update api_keys
set revoked_at = now()
where name = %(name)s and revoked_at is null and (expires_at is null or expires_at > now())
returning id;

-- name: all
select
    name, role, requests_per_minute, runs_at_once, tokens_per_day, usd_per_month, created_at, last_used_at,
    expires_at, revoked_at, expires_at is not null and expires_at <= now() as expired
from api_keys
order by name, id;

-- name: used
-- `ages` are seconds since each was used. In the order of ids, past those that another worker is writing.
update api_keys as k
set last_used_at = now() - make_interval(secs => used.age)
from unnest(%(ids)s::bigint[], %(ages)s::double precision[]) as used (id, age)
where k.id = used.id
    and k.id in (
        select id from api_keys
        where id = any(%(ids)s) and (
            last_used_at is null or last_used_at < now() - make_interval(secs => %(every)s)
        )
        order by id
        for update skip locked
    )
returning k.id;
