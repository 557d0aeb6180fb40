create extension if not exists vector;

create table postings (
    id bigint generated always as identity primary key,
    source text not null,
    source_id text not null,
    company text not null,
    job_title text not null,
    responsibilities text not null,
    requirements text not null,
    preferred text not null,
    url text,
    deadline date,
    location text,
    employment_type text,
    experience text,
    skills text[] not null,
    embedding vector not null,
    updated_at timestamptz not null default now(),
    unique (source, source_id)
);

-- One row: what the embeddings were made with, and a number that every load raises.
create table corpus (
    only_row boolean primary key default true check (only_row),
    embedding_model text not null,
    embedding_dimensions integer not null,
    revision bigint not null
);
