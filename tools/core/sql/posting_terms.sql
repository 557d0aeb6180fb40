-- name: known
select text_hash from posting_terms where version = %(version)s and text_hash = any(%(hashes)s);

-- name: save
insert into posting_terms (text_hash, version, terms, families)
values (%(text_hash)s, %(version)s, %(terms)s, %(families)s)
on conflict (text_hash) do update set
    version = excluded.version, terms = excluded.terms, families = excluded.families;

-- name: unread
-- In the order of their numbers, beginning after one: what has been looked at is not looked at again.
select id, {fields} from postings
where id > %(after)s
  and not exists (
      select from posting_terms as t where t.text_hash = postings.text_hash and t.version = %(version)s
  )
order by id
limit %(count)s;

-- name: count_unread
select count(*) as postings from postings
where not exists (
    select from posting_terms as t where t.text_hash = postings.text_hash and t.version = %(version)s
);
