"""The offline model: rules behind OpenAI's HTTP protocol, on loopback.

It answers in place of a paid model when no key is set, so that one client (`langchain-openai`) serves both.

    server        the routes, and the controls under `/offline`
    protocol      errors, token counts, reading requests, sending answers
    completions   chat requests, answers and stream events
    embeddings    hashed Korean morphemes, and embedding requests and answers
    batches       uploaded files, and batches of chat requests
    faults        latency and faults, set from outside, and the count of calls
    rules/        the answers

`python -m local.model --port 0` runs it.
"""

SECRET_VARIABLE = "CHECKERBOARD_OFFLINE_SECRET"  # noqa: S105 - its name
"""What opens the controls; without it they are closed."""
