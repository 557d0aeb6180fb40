-- name: own_set
insert into embedding_sets (model, dimensions, ready)
values (%(model)s, %(dimensions)s, not exists (select from embedding_sets where ready))
on conflict (model, dimensions) do update set model = excluded.model
returning id, ready;

-- name: embedded
select text_hash from embeddings where set_id = %(set_id)s and text_hash = any(%(hashes)s);

-- name: keep_vector
insert into embeddings (set_id, text_hash, embedding) values (%(set_id)s, %(text_hash)s, %(vector)s)
on conflict (set_id, text_hash) do nothing;

-- name: not_embedded
select id, source, source_id, position, company, job_title, responsibilities, requirements, preferred
from postings
where id > %(after)s
  and not exists (select from embeddings as e where e.set_id = %(set_id)s and e.text_hash = postings.text_hash)
order by id
limit %(count)s;

-- name: count_not_embedded
select count(*) as postings from postings
where not exists (select from embeddings as e where e.set_id = %(set_id)s and e.text_hash = postings.text_hash);

-- name: set_ready
update embedding_sets set ready = true where id = %(set_id)s;

-- name: drop_other_sets
delete from embedding_sets where id <> %(set_id)s returning model, dimensions;

-- name: forget_unused_vectors
delete from embeddings as e
where e.created_at < now() - interval '1 day'
  and not exists (select from postings as p where p.text_hash = e.text_hash);
