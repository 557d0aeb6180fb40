"""The prompts of the graph and of ingest's tagging: their sources, checks and changes.

    files beside the nodes ─┐
                            ├─► checks ─► in force (Redis) ─► registry of each worker ─► a run's own set
    LangSmith's prompt hub ─┘                  └─► trail (PostgreSQL)

`prompt` is one prompt, its file and what the node demands of it; `names`, `hub`, `manifest` and `pulling` are
LangSmith's side; `active` is the set that all workers share, `registry` a worker's copy, which `following`
keeps up; `changes` are start, reload and pin; `files_and_hub` is the work of the `commands`.
"""
