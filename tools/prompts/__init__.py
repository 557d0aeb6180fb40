"""The prompts of the graph and of ingest's tagging: their sources, checks and changes.

    files beside the nodes ─┐
                            ├─► checks ─► active set (Redis) ─► registry of each worker ─► a run's snapshot
    LangSmith's prompt hub ─┘                  └─► audit log (PostgreSQL)

`prompt` is one prompt, its file and its checks; `hub` is LangSmith; `active_set` and `audit_log` are stored;
`registry` is a worker's copy, which its watcher keeps up; `changes` are start, reload and pin; `commands` are
`checkerboard prompts …`.
"""
