-- oldest code: 0005
-- What a kept search was made of (tools/retrieval/search.py): another one after every statement that wrote postings, whoever
-- wrote them, and no other database or time has the same. The revision, which answers name, counts loads.
alter table corpus add column version uuid not null default gen_random_uuid();

create function new_corpus_version() returns trigger language plpgsql as $$
begin
    -- A statement that found nothing to write changes no search.
    if tg_op <> 'TRUNCATE' then
        if not exists (select from written) then
            return null;
        end if;
    end if;
    insert into corpus (revision) values (0) on conflict (only_row) do update set version = gen_random_uuid();
    return null;
end
$$;
create trigger new_corpus_version_by_insert after insert on postings
referencing new table as written for each statement execute function new_corpus_version();
create trigger new_corpus_version_by_update after update on postings
referencing new table as written for each statement execute function new_corpus_version();
create trigger new_corpus_version_by_delete after delete on postings
referencing old table as written for each statement execute function new_corpus_version();
create trigger new_corpus_version_by_truncate after truncate on postings
for each statement execute function new_corpus_version();
