-- name: make
insert into secrets (name, secret) values (%(name)s, %(secret)s) on conflict (name) do nothing;

-- name: read
select secret from secrets where name = %(name)s;
