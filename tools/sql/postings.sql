-- name: upsert_posting
insert into postings (
    source, source_id, company, job_title, responsibilities, requirements, preferred,
    url, deadline, location, employment_type, experience, skills, embedding
) values (
    %(source)s, %(source_id)s, %(company)s, %(job_title)s, %(responsibilities)s, %(requirements)s, %(preferred)s,
    %(url)s, %(deadline)s, %(location)s, %(employment_type)s, %(experience)s, %(skills)s, %(embedding)s
)
on conflict (source, source_id) do update set
    company = excluded.company, job_title = excluded.job_title, responsibilities = excluded.responsibilities,
    requirements = excluded.requirements, preferred = excluded.preferred, url = excluded.url,
    deadline = excluded.deadline, location = excluded.location, employment_type = excluded.employment_type,
    experience = excluded.experience, skills = excluded.skills, embedding = excluded.embedding,
    updated_at = now();

-- name: raise_revision
insert into corpus (embedding_model, embedding_dimensions, revision)
values (%(model)s, %(dimensions)s, 1)
on conflict (only_row) do update set revision = corpus.revision + 1
returning embedding_model, embedding_dimensions, revision;

-- name: corpus
select embedding_model, embedding_dimensions, revision, (select count(*) from postings) as postings
from corpus;

-- name: sources
select source, count(*) as postings from postings group by source;

-- name: nearest
select 'p-' || id as posting_id, source, source_id, company, job_title, responsibilities, requirements,
       preferred, url, deadline, location, employment_type, experience, skills,
       1 - (embedding <=> %(vector)s) as score
from postings
where deadline is null or deadline >= current_date
order by embedding <=> %(vector)s, id
limit %(k)s;

-- name: by_ids
select 'p-' || id as posting_id, source, source_id, company, job_title, responsibilities, requirements,
       preferred, url, deadline, location, employment_type, experience, skills
from postings
where id = any(%(ids)s);
