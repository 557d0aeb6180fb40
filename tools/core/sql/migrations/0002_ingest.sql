-- A posting is one position of a document. It is never deleted: it closes at its deadline, or is withdrawn.
alter table postings
    add column position integer not null default 0,
    add column content_hash text not null default '',
    add column text_hash text,
    add column withdrawn_at timestamptz,
    add column duplicate_of bigint references postings (id) on delete set null,
    add column bands bigint[] not null default '{}';

update postings set text_hash = md5(concat_ws(
    E'\n', nullif(job_title, ''), nullif(responsibilities, ''), nullif(requirements, ''), nullif(preferred, '')
));

alter table postings
    alter column text_hash set not null,
    drop constraint postings_source_source_id_key,
    add unique (source, source_id, position);
-- Searched for every posting that is written, so what was inserted must not wait in a list that is walked.
create index on postings using gin (bands) with (fastupdate = off);
create index on postings (duplicate_of) where duplicate_of is not null;
create index on postings (text_hash);

-- Vectors lie beside the postings, by what was embedded and what embedded it: a text is paid for once,
-- and a second embedding can be made while the first one serves.
create table embedding_sets (
    id integer generated always as identity primary key,
    model text not null,
    dimensions integer not null,
    ready boolean not null,
    unique (model, dimensions)
);
create table embeddings (
    set_id integer not null references embedding_sets on delete cascade,
    text_hash text not null,
    embedding vector not null,
    created_at timestamptz not null default now(),
    primary key (set_id, text_hash)
);

insert into embedding_sets (model, dimensions, ready)
select embedding_model, embedding_dimensions, true from corpus;
insert into embeddings (set_id, text_hash, embedding)
select distinct on (set_row.id, text_hash) set_row.id, text_hash, embedding
from postings cross join embedding_sets as set_row;

alter table postings drop column embedding;
alter table corpus drop column embedding_model, drop column embedding_dimensions;

create view open_postings as
select * from postings where (deadline is null or deadline >= current_date) and withdrawn_at is null;

-- Documents on their way from a source to the postings.
create table documents (
    id bigint generated always as identity primary key,
    source text not null,
    source_id text not null,
    scope text not null,
    content_hash text not null,
    files jsonb not null,
    hints jsonb not null,
    provenance jsonb not null,
    stage text not null default 'collected'
        check (stage in ('collected', 'parsed', 'tagged', 'embedded', 'loaded')),
    attempts integer not null default 0,
    next_try_at timestamptz not null default now(),
    set_aside_at timestamptz,
    error jsonb,
    flags text[] not null default '{}',
    parsed jsonb,
    tagged jsonb,
    batch_id text,
    pages integer not null default 0,
    input_tokens bigint not null default 0,
    output_tokens bigint not null default 0,
    usd double precision default 0,
    withdrawn_at timestamptz,
    claimed_by integer,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (source, source_id)
);
create index on documents (next_try_at, id) where stage <> 'loaded' and set_aside_at is null;
create index on documents (source, scope);
create index on documents (set_aside_at) where set_aside_at is not null;
create index on documents (source, source_id) where withdrawn_at is not null;
create sequence ingest_runs as integer cycle;

-- Answers that were paid for, by what was asked.
create table answers (
    question text primary key,
    answer bytea not null,
    created_at timestamptz not null default now()
);
create index on answers (created_at);

-- What was fetched last, so that only what has changed is fetched again.
create table fetches (
    url text primary key,
    etag text,
    last_modified text,
    content_hash text,
    fetched_at timestamptz not null
);
