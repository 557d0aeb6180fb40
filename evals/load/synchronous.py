"""The comparator of the load test: `python -m evals.load.synchronous PORT`, a service without asyncio.

A generation is the same remote work in the same order: an embedding, a search over the loaded postings, four
chats, a session in Redis; each of them blocks a thread, and the framework has 40 of those (AnyIO's default).
DATABASE_URL, REDIS_URL, OPENAI_BASE_URL and OPENAI_API_KEY say where the parts are.
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

import openai
import psycopg
import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse
from psycopg_pool import ConnectionPool
from redis import Redis

CHATS = 4
SESSION_SECONDS = 3_600
POOL = 10
_SEARCH = """
select p.id, p.company, p.job_title from postings as p join embeddings as e on e.text_hash = p.text_hash
order by e.embedding <=> %s::vector limit 20
"""


def create_app() -> FastAPI:
    """Returns the service."""
    model = openai.OpenAI()
    redis = Redis.from_url(os.environ["REDIS_URL"])
    pool: ConnectionPool[psycopg.Connection] = ConnectionPool(
        os.environ["DATABASE_URL"], max_size=POOL, open=True
    )
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/generate/invoke")
    def generate(body: dict[str, Any] = Body()) -> JSONResponse:  # noqa: B008 - FastAPI's form
        query = str(body["input"]["profile"])
        found = model.embeddings.create(model="text-embedding-3-small", input=query, dimensions=1536)
        with pool.connection() as connection:
            rows = connection.execute(_SEARCH, [str(found.data[0].embedding)]).fetchall()
        text = f"{query}\n{rows}"
        for _ in range(CHATS):
            said = model.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": text}]
            )
            text = f"{query}\n{said.choices[0].message.content}"
        session_id = uuid.uuid4().hex
        redis.set(f"session-sync:{session_id}", text, ex=SESSION_SECONDS)
        # What is no response yet would need a second thread, and wait for it behind those who have none.
        return JSONResponse({"output": {"session_id": session_id, "text": text}})

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), backlog=2048, log_level="warning")
