-- name: record
insert into prompt_changes (action, key_name, version_before, version_after, changes, problems)
values (%(action)s, %(by)s, %(version_before)s, %(version_after)s, %(changes)s, %(problems)s);

-- name: newest
select at, action, key_name as by, version_before, version_after, changes, problems
from prompt_changes
order by id desc
limit %(count)s;
