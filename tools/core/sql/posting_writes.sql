-- name: stage_table
-- Gone with its transaction: a pooled connection may be somebody else's next, or another version's.
create temp table staged_postings (
    ordinal integer, source text, source_id text, position integer, company text, job_title text, responsibilities text,
    requirements text, preferred text, url text, deadline date, location text, employment_type text,
    experience text, skills text[], content_hash text, text_hash text, bands bigint[]
) on commit drop;

-- name: stage
copy staged_postings from stdin;

-- name: upsert_staged
insert into postings (
    source, source_id, position, company, job_title, responsibilities, requirements, preferred, url, deadline,
    location, employment_type, experience, skills, content_hash, text_hash, bands
)
select source, source_id, position, company, job_title, responsibilities, requirements, preferred, url, deadline,
       location, employment_type, experience, skills, content_hash, text_hash, bands
from staged_postings order by ordinal
on conflict (source, source_id, position) do update set
    company = excluded.company, job_title = excluded.job_title, responsibilities = excluded.responsibilities,
    requirements = excluded.requirements, preferred = excluded.preferred, url = excluded.url,
    deadline = excluded.deadline, location = excluded.location, employment_type = excluded.employment_type,
    experience = excluded.experience, skills = excluded.skills, content_hash = excluded.content_hash,
    text_hash = excluded.text_hash, bands = excluded.bands, withdrawn_at = null, updated_at = now()
where postings.content_hash <> excluded.content_hash or postings.withdrawn_at is not null
returning id;

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
select p.id, p.company, p.job_title, p.responsibilities, p.requirements, p.preferred,
       o.id as other_id, o.duplicate_of as other_root, o.company as other_company, o.job_title as other_job_title,
       o.responsibilities as other_responsibilities, o.requirements as other_requirements,
       o.preferred as other_preferred
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
