-- name: raise_revision
insert into corpus (revision) values (1)
on conflict (only_row) do update set revision = corpus.revision + 1
returning revision;

-- name: corpus
select coalesce((select revision from corpus), 0) as revision,
       (select count(*) from postings) as postings,
       own.id as set_id, coalesce(own.ready, false) as ready,
       (select array_agg(model || ' in ' || dimensions || ' dimensions' order by id)
        from embedding_sets where ready) as ready_sets
from (values (1)) as one
left join embedding_sets as own on own.model = %(model)s and own.dimensions = %(dimensions)s;

-- name: read_only
select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only;

-- name: sources
select source, count(*) as postings from postings group by source;

-- name: nearest
select 'p-' || p.id as posting_id, p.source, p.source_id, p.position, p.company, p.job_title, p.responsibilities,
       p.requirements, p.preferred, p.url, p.deadline, p.location, p.employment_type, p.experience, p.skills,
       1 - (e.embedding <=> %(vector)s) as score
from open_postings as p
join embeddings as e on e.text_hash = p.text_hash
join embedding_sets as s on s.id = e.set_id
where s.model = %(model)s and s.dimensions = %(dimensions)s
  -- Of near-duplicates the first that is open stands for all.
  and (p.duplicate_of is null or not exists (
      select from open_postings as other
      where (other.id = p.duplicate_of or other.duplicate_of = p.duplicate_of) and other.id < p.id
  ))
order by e.embedding <=> %(vector)s, p.id
limit %(k)s;

-- name: by_ids
select 'p-' || id as posting_id, source, source_id, position, company, job_title, responsibilities, requirements,
       preferred, url, deadline, location, employment_type, experience, skills
from postings
where id = any(%(ids)s);
