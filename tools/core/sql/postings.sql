-- {fields}, {updates}, {one} and {other} are lists of columns, made from `Posting` in tools/postings/repository.py.

-- name: raise_revision
insert into corpus (revision) values (1)
on conflict (only_row) do update set revision = corpus.revision + 1
returning revision;

-- name: corpus
select coalesce((select revision from corpus), 0) as revision,
       -- With the day, because postings close at their deadline, and nobody writes them then.
       concat_ws(' ', (select version from corpus), (select revision from corpus), current_date) as version,
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

-- name: count_open
select count(*) as postings, max(updated_at) as newest from open_postings;

-- name: nearest
-- What is searched (`candidates`), how each stands out in it (`scored`), the likeness of the best to the mean of the
-- first (`pool`), and what comes after all others because its company or its text has come already (`placed`).
with candidates as materialized (
    select p.id, p.normalized_company as company, p.bands, e.embedding, t.terms, t.families,
           1 - (e.embedding <=> %(vector)s) as cosine,
           -(t.terms <#> %(terms)s::sparsevec) as overlap,
           case when t.families && %(families)s::text[] then 1
                when t.families && %(near)s::text[] then 0.5
                when %(inside)s::text[] is null or t.families = '{}' or t.families && %(inside)s then 0
                when t.families is not null then -1
                else 0 end as fit
    from postings as p
    join embeddings as e on e.text_hash = p.text_hash
    join embedding_sets as s on s.id = e.set_id
    left join posting_terms as t on t.text_hash = p.text_hash
    where s.model = %(model)s and s.dimensions = %(dimensions)s
      and p.withdrawn_at is null
      and (p.deadline is null or p.deadline >= current_date or not %(only_open)s)
      and (%(places)s::text[] is null or p.location ilike any (%(places)s))
      and (%(employment)s::text[] is null or p.employment_type ilike any (%(employment)s))
      and (%(years)s::integer is null or p.least_years is null or p.least_years <= %(years)s)
      -- Of near-duplicates the first that is open stands for all.
      and (p.duplicate_of is null or not exists (
          select from postings as other
          where (other.id = p.duplicate_of or other.duplicate_of = p.duplicate_of) and other.id < p.id
            and other.withdrawn_at is null
            and (other.deadline is null or other.deadline >= current_date or not %(only_open)s)
      ))
),
scale as (
    select avg(cosine) as mean_cosine, nullif(stddev_pop(cosine), 0) as spread_cosine,
           avg(overlap) as mean_overlap, nullif(stddev_pop(overlap), 0) as spread_overlap
    from candidates
),
scored as materialized (
    select candidates.*,
           %(dense)s * coalesce((cosine - mean_cosine) / spread_cosine, 0)
           + %(lexical)s * coalesce((overlap - mean_overlap) / spread_overlap, 0)
           + %(family)s * fit as score
    from candidates cross join scale
),
likened as (
    select scored.*,
           case when %(feedback)s > 0 then embedding <=> (
               select avg(embedding) from (select embedding from scored order by score desc, id limit %(leaders)s) as first
           ) end as distance
    from (select * from scored order by score desc, id limit %(pool)s) as scored
),
pool as materialized (
    select likened.*,
           score - %(feedback)s * coalesce(
               (distance - avg(distance) over ()) / nullif(stddev_pop(distance) over (), 0), 0
           ) as total
    from likened
),
numbered as materialized (
    select pool.*, row_number() over (order by total desc, id) as place,
           row_number() over (partition by company order by total desc, id) as company_place
    from pool
),
placed as (
    select numbered.*,
           case when company <> '' and company_place > %(most_of_a_company)s then 'company'
                when %(most_of_a_company)s is not null and place <= %(looked_at)s and exists (
                    select from numbered as better
                    where better.place < numbered.place and better.bands && numbered.bands
                      and (select count(*) from unnest(better.bands) as band where band = any (numbered.bands))
                          >= %(same_bands)s
                ) then 'copy' end as capped
    from numbered
),
hits as (
    select id, cosine, overlap, families, terms, total, capped
    from placed order by capped is not null, total desc, id limit %(k)s
)
select 'p-' || p.id as posting_id, {fields}, hits.cosine as score, hits.total as fused,
       coalesce(hits.families, '{}') as families, hits.capped,
       case when %(explained)s then 1 + (select count(*) from candidates as c where c.cosine > hits.cosine) end as dense_rank,
       case when %(explained)s and hits.overlap > 0
            then 1 + (select count(*) from candidates as c where c.overlap > hits.overlap) end as lexical_rank,
       case when %(explained)s then hits.terms::text end as terms
from hits join postings as p on p.id = hits.id
order by hits.capped is not null, hits.total desc, hits.id;

-- name: by_ids
select 'p-' || id as posting_id, {fields}
from postings
where id = any(%(ids)s);

-- name: stage_table
-- Gone with its transaction: a pooled connection may be somebody else's next, or another version's.
create temp table staged_postings on commit drop as
select 0 as ordinal, {fields}, content_hash, text_hash, bands from postings with no data;

-- name: stage
copy staged_postings from stdin;

-- name: upsert_staged
insert into postings ({fields}, content_hash, text_hash, bands)
select {fields}, content_hash, text_hash, bands from staged_postings order by ordinal
on conflict (source, source_id, position) do update set
    {updates}, content_hash = excluded.content_hash, text_hash = excluded.text_hash,
    bands = excluded.bands, withdrawn_at = null, updated_at = now()
where postings.content_hash <> excluded.content_hash or postings.withdrawn_at is not null
returning id;

-- name: outdated
-- Written by a version that did not normalize; their index has no others.
select id, 'p-' || id as posting_id, {fields} from postings where normalized_title is null order by id limit %(count)s;

-- name: count_outdated
select count(*) as postings from postings where normalized_title is null;

-- name: renew
-- Only what nobody has written anew meanwhile.
update postings set
    normalized_title = %(normalized_title)s, normalized_company = %(normalized_company)s,
    normalized_skills = %(normalized_skills)s, content_hash = %(content_hash)s, text_hash = %(text_hash)s
where id = %(id)s and normalized_title is null;

-- name: withdraw_other_positions
update postings set withdrawn_at = now(), updated_at = now()
from (select source, source_id, max(position) as last from staged_postings group by 1, 2) as staged
where postings.source = staged.source and postings.source_id = staged.source_id
  and postings.position > staged.last and postings.withdrawn_at is null;

-- name: withdraw
update postings set withdrawn_at = now(), updated_at = now()
where source = %(source)s and source_id = any(%(source_ids)s) and withdrawn_at is null;

-- name: orphans
select id from postings
where source <> %(source)s and duplicate_of in (select id from postings where source = %(source)s);

-- name: remove
delete from postings where source = %(source)s;

-- name: unlink
update postings set duplicate_of = null
where id = any(%(ids)s) or duplicate_of = any(%(ids)s)
returning id;

-- name: by_index
-- The planner takes a walk through some thousand postings for cheaper; comparing bands is not.
set local enable_seqscan = off;

-- name: alike
select p.id, o.id as other_id, o.duplicate_of as other_root, {one}, {other}
from postings as p
cross join lateral (
    -- Found by the index on `bands` first: with the limit at hand, the planner would walk all postings by id.
    select * from (select * from postings as c where c.bands && p.bands and c.id <> p.id offset 0) as alike
    order by alike.id limit 50
) as o
where p.id = any(%(ids)s)
order by p.id, o.id;

-- name: link
update postings set duplicate_of = %(root)s
where id = any(%(ids)s);

-- name: own_set
insert into embedding_sets (model, dimensions, ready)
values (%(model)s, %(dimensions)s, not exists (select from embedding_sets where ready))
on conflict (model, dimensions) do update set model = excluded.model
returning id, ready;

-- name: embedded
select text_hash from embeddings where set_id = %(set_id)s and text_hash = any(%(hashes)s);

-- name: save_vector
insert into embeddings (set_id, text_hash, embedding) values (%(set_id)s, %(text_hash)s, %(vector)s)
on conflict (set_id, text_hash) do nothing;

-- name: not_embedded
select id, {fields} from postings
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
delete from embeddings
where ctid = any(array(
    select e.ctid from embeddings as e
    where e.created_at < now() - interval '1 day'
      and not exists (select from postings as p where p.text_hash = e.text_hash)
    limit %(count)s
));

-- name: forget_unused_terms
delete from posting_terms
where ctid = any(array(
    select t.ctid from posting_terms as t
    where t.created_at < now() - interval '1 day'
      and not exists (select from postings as p where p.text_hash = t.text_hash)
    limit %(count)s
));
