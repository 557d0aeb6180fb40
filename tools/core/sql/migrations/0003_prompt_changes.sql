-- Who changed the prompts in force, when, from what to what; refused attempts too.
create table prompt_changes (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    action text not null check (action in ('start', 'reload', 'pin')),
    key_name text not null,
    version_before text not null,
    version_after text,
    changes jsonb not null,
    problems jsonb not null
);
