-- name: collect
insert into documents as d (source, source_id, scope, content_hash, files, hints, provenance)
values (%(source)s, %(source_id)s, %(scope)s, %(content_hash)s, %(files)s, %(hints)s, %(provenance)s)
on conflict (source, source_id) do update set
    scope = excluded.scope, files = excluded.files, hints = excluded.hints, provenance = excluded.provenance,
    content_hash = excluded.content_hash,
    -- One that comes back unchanged needs only to be loaded again.
    stage = case when d.content_hash = excluded.content_hash and d.stage = 'loaded' then 'embedded' else 'collected' end,
    parsed = case when d.content_hash = excluded.content_hash then d.parsed end,
    tagged = case when d.content_hash = excluded.content_hash then d.tagged end,
    attempts = 0, next_try_at = now(), set_aside_at = null, error = null, withdrawn_at = null, batch_id = null,
    claimed_by = null, updated_at = now()
where d.content_hash <> excluded.content_hash or d.withdrawn_at is not null
returning id, (xmax = 0) as is_new;

-- name: withdraw
update documents set withdrawn_at = now(), claimed_by = null, updated_at = now()
where source = %(source)s and scope = %(scope)s and withdrawn_at is null and not source_id = any(%(source_ids)s)
returning source_id;

-- name: remove
delete from documents where source = %(source)s;

-- name: next_run
select nextval('ingest_runs')::int as run;

-- name: no_idle_limit
-- Operators end transactions that are idle or long; this one is both.
select set_config(name, '0', true) from pg_settings
where name in ('idle_in_transaction_session_timeout', 'transaction_timeout');

-- name: lock_run
select pg_advisory_xact_lock(%(key)s, %(run)s);

-- name: claim
with living as materialized (
    select objid::bigint as run from pg_locks
    where locktype = 'advisory' and classid = %(key)s and objsubid = 2
      and database = (select oid from pg_database where datname = current_database())
)
update documents set claimed_by = %(run)s
where id in (
    select id from documents
    where stage <> 'loaded' and set_aside_at is null and withdrawn_at is null and next_try_at <= now()
      and (batch_id is null or stage <> 'parsed' or %(in_batches)s)
      and (claimed_by is null or claimed_by not in (select run from living))
      and stage = any(%(stages)s) and (cardinality(%(ids)s::bigint[]) = 0 or id = any(%(ids)s))
    order by next_try_at, id
    limit %(count)s
    for update skip locked
)
returning id, source, source_id, content_hash, files, hints, stage, attempts, parsed, tagged;

-- name: next_due
select next_try_at - now() as due_in from documents
where stage <> 'loaded' and set_aside_at is null and withdrawn_at is null
  and (batch_id is null or stage <> 'parsed' or %(in_batches)s)
  and stage = any(%(stages)s) and (cardinality(%(ids)s::bigint[]) = 0 or id = any(%(ids)s))
  and (claimed_by is null or claimed_by not in (
      select objid::bigint from pg_locks
      where locktype = 'advisory' and classid = %(key)s and objsubid = 2
        and database = (select oid from pg_database where datname = current_database())
  ))
order by next_try_at, id
limit 1;

-- name: advance
update documents set
    stage = %(stage)s, parsed = coalesce(%(parsed)s, parsed), tagged = coalesce(%(tagged)s, tagged),
    flags = case when %(flags)s::text[] is null then flags else %(flags)s end,
    pages = pages + %(pages)s, input_tokens = input_tokens + %(input_tokens)s,
    output_tokens = output_tokens + %(output_tokens)s, usd = usd + %(usd)s,
    attempts = 0, error = null, updated_at = now(),
    claimed_by = case when %(last)s then null else claimed_by end
where id = %(id)s and content_hash = %(content_hash)s and claimed_by = %(run)s;

-- name: record_batch
update documents set batch_id = %(batch_id)s, claimed_by = null, updated_at = now()
where id = any(%(ids)s) and claimed_by = %(run)s;

-- name: fail
update documents set
    attempts = attempts + 1, error = %(error)s, claimed_by = null, batch_id = null, updated_at = now(),
    next_try_at = now() + make_interval(secs => %(seconds)s),
    pages = pages + %(pages)s, input_tokens = input_tokens + %(input_tokens)s,
    output_tokens = output_tokens + %(output_tokens)s, usd = usd + %(usd)s,
    set_aside_at = case when %(final)s then now() end
where id = %(id)s and content_hash = %(content_hash)s and claimed_by = %(run)s;

-- name: release_all
update documents set claimed_by = null where claimed_by = %(run)s;

-- name: requeue_transient
update documents set set_aside_at = null, attempts = 0, next_try_at = now()
where set_aside_at is not null and withdrawn_at is null and (error ->> 'passing')::boolean;

-- name: retry
update documents set set_aside_at = null, attempts = 0, next_try_at = now(), batch_id = null, claimed_by = null,
    stage = case when array_position(%(stages)s::text[], stage) > array_position(%(stages)s::text[], %(stage)s)
        then %(stage)s else stage end,
    updated_at = now()
where withdrawn_at is null and (cardinality(%(ids)s::bigint[]) = 0 or id = any(%(ids)s))
  and (%(source)s::text is null or source = %(source)s)
  and case when %(stage)s::text is null then set_aside_at is not null
      else array_position(%(stages)s::text[], stage) > array_position(%(stages)s::text[], %(stage)s) or set_aside_at is not null end;

-- name: by_stage
select source, case when set_aside_at is null then stage else 'set aside' end as stage, count(*) as documents,
       sum(pages)::bigint as pages, sum(input_tokens)::bigint as input_tokens,
       sum(output_tokens)::bigint as output_tokens, sum(usd) as usd,
       count(*) filter (where usd is null) as unpriced,
       count(*) filter (where 'low_confidence' = any(flags)) as low_confidence
from documents group by 1, 2 order by 1, 2;

-- name: progress
select source, case when set_aside_at is null then stage else 'set aside' end as stage, count(*) as documents,
       sum(pages)::bigint as pages, sum(input_tokens)::bigint as input_tokens,
       sum(output_tokens)::bigint as output_tokens, coalesce(sum(usd), 0)::float8 as usd,
       max(updated_at) as moved_at
from documents group by 1, 2;

-- name: set_aside
select id, source, source_id, stage, attempts, error, set_aside_at from documents
where set_aside_at is not null order by set_aside_at desc, id limit %(count)s;

-- name: find_answer
select answer from answers where question = %(question)s;

-- name: record_answer
insert into answers (question, answer) values (%(question)s, %(answer)s) on conflict (question) do nothing;

-- name: forget_old_answers
delete from answers
where question in (
    select question from answers where created_at < now() - make_interval(days => %(days)s)
    order by created_at
    limit %(count)s
    for update skip locked
);

-- name: last_fetch
select url, etag, last_modified, content_hash, fetched_at from fetches where url = %(url)s;

-- name: record_fetch
insert into fetches (url, etag, last_modified, content_hash, fetched_at)
values (%(url)s, %(etag)s, %(last_modified)s, %(content_hash)s, %(fetched_at)s)
on conflict (url) do update set etag = excluded.etag, last_modified = excluded.last_modified,
    content_hash = excluded.content_hash, fetched_at = excluded.fetched_at;

-- name: unfinished
select id from documents
where stage <> 'loaded' and set_aside_at is null and withdrawn_at is null
  and (batch_id is null or stage <> 'parsed')
order by id;

-- name: count_set_aside
select count(*) as documents from documents where set_aside_at is not null and id = any(%(ids)s);

-- name: parsed_and_tagged
select source_id, files, flags, parsed, tagged from documents where tagged is not null and parsed is not null
order by source, source_id;

-- name: release
update documents set claimed_by = null where id = any(%(ids)s) and claimed_by = %(run)s;

-- name: structured
select id from documents where stage = 'parsed' and parsed is null and set_aside_at is null and withdrawn_at is null order by id;

-- name: not_in_batch
select id from documents
where stage = 'parsed' and parsed is not null and batch_id is null and set_aside_at is null
  and withdrawn_at is null and next_try_at <= now()
order by id;

-- name: batches
select batch_id, array_agg(id order by id) as ids from documents
where stage = 'parsed' and batch_id is not null and set_aside_at is null and withdrawn_at is null group by batch_id order by batch_id;

-- name: forget_batch
update documents set batch_id = null where batch_id = %(batch_id)s and stage = 'parsed';

-- name: is_withdrawn
select withdrawn_at is not null as withdrawn from documents where id = %(id)s;

-- name: withdraw_leftovers
update postings set withdrawn_at = now(), updated_at = now()
from documents as d
where d.withdrawn_at is not null and postings.withdrawn_at is null
  and postings.source = d.source and postings.source_id = d.source_id;

-- name: forget_answers
delete from answers where question = any(%(questions)s);
