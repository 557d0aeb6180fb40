"""The prompts of the graph and of ingest's tagging: their sources, checks and changes.

    files beside the nodes ─┐
                            ├─► checks ─► in force (Redis) ─► registry of each worker ─► a run's own set
    LangSmith's prompt hub ─┘                  └─► trail (PostgreSQL)

`prompt` is one prompt and its file, `contract` what a node demands of it, `manifest` and `hub` LangSmith's
side, `in_force` the set that all workers share, `registry` a worker's copy, `changes` reload and pin.
"""
