-- oldest code: 0005
-- Projects that people keep: all that the page of one shows, so that neither its session nor the postings that it
-- quotes have to be there any more (serve/kept.py).
create table kept_projects (
    id text primary key,
    owner text not null,
    session_id text not null,
    -- Which of the session's projects, from 0: to keep one again is to keep the same.
    number integer not null check (number >= 0),
    content jsonb not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    unique (session_id, number)
);
create index on kept_projects (owner, created_at);
create index on kept_projects (expires_at);

-- Secrets that all workers share and nobody has set, each made once.
create table secrets (
    name text primary key,
    secret text not null
);
