-- name: finish
-- Of the worker that was given the job alone: one that was taken for dead leaves it to the other.
select procrastinate_finish_job_v1(id, %(status)s, true) from procrastinate_jobs
where id = %(job_id)s and worker_id is not distinct from %(worker_id)s and status = 'doing';

-- name: retry
select procrastinate_retry_job_v2(id, %(retry_at)s, null, null, null) from procrastinate_jobs
where id = %(job_id)s and worker_id is not distinct from %(worker_id)s and status = 'doing';

-- name: jobs_of
select id from procrastinate_jobs where queueing_lock = %(run_id)s and status in ('todo', 'doing');

-- name: with_job
select queueing_lock as run_id from procrastinate_jobs where queueing_lock = any(%(run_ids)s);
