-- name: keep
insert into kept_projects (id, owner, session_id, number, content, expires_at)
values (
    %(id)s, %(owner)s, %(session_id)s, %(number)s, %(content)s, now() + make_interval(secs => %(seconds)s)
)
on conflict (session_id, number) do update
set
    expires_at = excluded.expires_at,
    -- One that has expired is gone, and its address with it.
    id = case when kept_projects.expires_at > now() then kept_projects.id else excluded.id end,
    content = case when kept_projects.expires_at > now() then kept_projects.content else excluded.content end,
    created_at = case when kept_projects.expires_at > now() then kept_projects.created_at else now() end
returning id, created_at, expires_at;

-- name: find
select id, content, created_at, expires_at from kept_projects where id = %(id)s and expires_at > now();

-- name: of_owner
select id, content #>> '{project,title}' as title, content ->> 'language' as language, created_at, expires_at
from kept_projects
where owner = %(owner)s and expires_at > now()
order by created_at desc
limit %(count)s;

-- name: delete
delete from kept_projects where id = %(id)s and owner = %(owner)s and expires_at > now() returning id;

-- name: delete_expired
delete from kept_projects
where id in (
    select id from kept_projects where expires_at <= now() order by expires_at limit %(count)s
    for update skip locked
);

-- name: count_expired
select count(*) as projects from kept_projects where expires_at <= now();
