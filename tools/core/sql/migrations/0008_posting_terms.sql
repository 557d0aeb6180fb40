-- oldest code: 0005
-- What a posting is searched by beside its vector: its terms, each weighed, and the families of jobs it is for. By
-- the text they are of, as vectors are; `version` names the rules that made them (tools/retrieval/terms.py). A text
-- without a row is found by its vector alone, until the next load or a worker has read it.
create table posting_terms (
    text_hash text primary key,
    version text not null,
    terms sparsevec(1000000000) not null,
    families text[] not null,
    created_at timestamptz not null default now()
);

-- The fewest years of experience that a posting asks for; null where it names none.
alter table postings add column least_years integer generated always as (
    case when experience ~* '신입|무관|인턴|entry|no experience|new grad|graduate' then 0
         else substring(experience from '(?:^|\D)(\d{1,2})\s*(?:\+|~|-|–|년|y)')::integer end
) stored;
