-- What `checkerboard prune` deletes (ingest/pipeline/retention.py), and how much of it there is.

-- name: withdrawn_postings
select id from postings
where id > %(after)s and withdrawn_at < now() - make_interval(days => %(days)s)
order by id
limit %(count)s;

-- name: linked_to
select id from postings where duplicate_of = any(%(ids)s);

-- name: delete_postings
-- One that came back a moment ago stays.
delete from postings
where id = any(%(ids)s) and withdrawn_at < now() - make_interval(days => %(days)s);

-- name: delete_documents
-- Only with the last of its postings, by which it is known when it comes back.
delete from documents
where id in (
    select d.id from documents as d
    where d.withdrawn_at < now() - make_interval(days => %(days)s)
      and not exists (
          select from postings as p
          where p.source = d.source and p.source_id = d.source_id
            and coalesce(p.withdrawn_at >= now() - make_interval(days => %(days)s), true)
      )
    order by d.id
    limit %(count)s
    for update skip locked
);

-- name: unread_files
-- The raw files that a stage may still read: those of documents that are not done.
select distinct file ->> 'hash' as hash
from documents cross join lateral jsonb_array_elements(files) as file
where stage <> 'loaded' and withdrawn_at is null and not file ? 'text';

-- name: to_delete
-- As if the withdrawn postings were deleted already, because documents and vectors go after them.
with staying as not materialized (
    select source, source_id, text_hash from postings
    where coalesce(withdrawn_at >= now() - make_interval(days => %(withdrawn_days)s), true)
)
select
    (select count(*) from postings where withdrawn_at < now() - make_interval(days => %(withdrawn_days)s))
        as postings,
    (select count(*) from documents as d
     where d.withdrawn_at < now() - make_interval(days => %(withdrawn_days)s)
       and not exists (select from staying as p where p.source = d.source and p.source_id = d.source_id))
        as documents,
    (select count(*) from embeddings as e
     where e.created_at < now() - interval '1 day'
       and not exists (select from staying as p where p.text_hash = e.text_hash)) as vectors,
    (select count(*) from answers where created_at < now() - make_interval(days => %(answers_days)s))
        as answers;
