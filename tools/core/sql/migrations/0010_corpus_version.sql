-- oldest code: 0005
-- What a kept search was made of (tools/retrieval/search.py): another one after every statement that wrote postings, whoever
-- wrote them, and no other database or time has the same. The revision, which answers name, counts loads.
alter table corpus add column version uuid not null default gen_random_uuid();

create function new_corpus_version() returns trigger language plpgsql as $$
begin
    insert into corpus (revision) values (0) on conflict (only_row) do update set version = gen_random_uuid();
    return null;
end
$$;
create trigger new_corpus_version after insert or update or delete or truncate on postings
for each statement execute function new_corpus_version();
