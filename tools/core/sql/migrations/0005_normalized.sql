-- What a posting is searched by, beside its own words (tools/postings/normalization.py). Null: written by a version
-- that did not normalize; then `text_hash` is that of the literal text, whose vector goes on serving until the
-- next load has normalized the posting and embedded what changed by it (`renew` in ingest/load.py).
alter table postings
    add column normalized_title text,
    add column normalized_company text,
    add column normalized_skills text[];
create index on postings (id) where normalized_title is null;

create or replace view open_postings as
select * from postings where (deadline is null or deadline >= current_date) and withdrawn_at is null;
