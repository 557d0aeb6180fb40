-- name: facts
select current_database() as database,
       current_user as role,
       current_schema() as schema,
       pg_encoding_to_char(d.encoding) as encoding,
       pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) as may_create,
       installed.extversion as vector_version,
       installed.nspname as vector_schema,
       to_regtype('vector') is not null as vector_in_sight,
       offered.default_version as vector_offered,
       to_regclass('schema_migrations') is not null as migrated,
       coalesce(has_table_privilege(to_regclass('schema_migrations'), 'SELECT'), false) as may_see_migrations,
       array(
           select name from unnest(array[
               'postings', 'corpus', 'embedding_sets', 'embeddings', 'open_postings', 'prompt_changes',
               'kept_projects', 'secrets'
           ]) as name
           where to_regclass(name) is not null and not has_table_privilege(to_regclass(name), 'SELECT')
       ) as unreadable
from pg_database as d
left join (
    select e.extversion, n.nspname from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'vector'
) as installed on true
left join pg_available_extensions as offered on offered.name = 'vector'
where d.datname = current_database();

-- name: applied
select name from schema_migrations;
