"""The service as one writes it in an afternoon, every part as it comes: LangServe, LangGraph with
AsyncRedisSaver, ChatOpenAI with structured output, OpenAIEmbeddings, psycopg."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from langgraph.graph import END, START, StateGraph
from langserve import add_routes
from pgvector import Vector
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr
from typing_extensions import TypedDict

from evals.bench import yardstick
from tools.core.settings import Settings


class Input(TypedDict):
    """What is sent."""

    profile: dict[str, Any]


class State(Input, total=False):
    """What the nodes write."""

    query: str
    postings: list[dict[str, Any]]
    verdicts: dict[str, Any]
    summary: dict[str, Any]
    subjects: dict[str, Any]
    project: dict[str, Any]


def create_app(settings: Settings) -> FastAPI:
    """Returns the application."""
    api: dict[str, Any] = {"base_url": settings.openai_base_url, "api_key": SecretStr("none")}
    model = ChatOpenAI(model=settings.chat_model, **api)
    embeddings = OpenAIEmbeddings(
        model=settings.embedding_model,
        dimensions=settings.embedding_dimensions,
        # Else it wants a vocabulary from the network.
        check_embedding_ctx_length=False,
        **api,
    )
    pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
        str(settings.database_url),
        connection_class=AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row, "autocommit": True},
        configure=register_vector_async,
        open=False,
    )
    saver = AsyncRedisSaver(redis_url=str(settings.redis_url))
    chains = {
        name: ChatPromptTemplate.from_messages([("system", yardstick.SYSTEM), ("human", "{task}\n{data}")])
        | model.with_structured_output(schema)
        for name, schema in yardstick.SCHEMAS.items()
    }

    async def ask(name: str, data: str) -> dict[str, Any]:
        answer: Any = await chains[name].ainvoke({"task": yardstick.TASKS[name], "data": data})
        dumped: dict[str, Any] = answer.model_dump()
        return dumped

    async def build_query(state: State) -> dict[str, Any]:
        return {"query": f"{state['profile']['desired_job']} {' '.join(state['profile'].get('skills', []))}"}

    async def retrieve(state: State) -> dict[str, Any]:
        vector = Vector(await embeddings.aembed_query(state["query"]))
        async with pool.connection() as connection:
            found = await connection.execute(yardstick.SEARCH, {"vector": vector, "k": yardstick.FOUND})
            return {"postings": await found.fetchall()}

    async def filter_jobs(state: State) -> dict[str, Any]:
        data = f"{state['profile']}\n{yardstick.lines(state['postings'])}"
        return {"verdicts": await ask("YardstickVerdicts", data)}

    async def summarize(state: State) -> dict[str, Any]:
        return {"summary": await ask("YardstickSummary", yardstick.lines(state["postings"]))}

    async def propose_subjects(state: State) -> dict[str, Any]:
        return {"subjects": await ask("YardstickSubjects", f"{state['profile']}\n{state['summary']}")}

    async def generate_tasks(state: State) -> dict[str, Any]:
        cited = yardstick.lines(state["postings"][: yardstick.CITED])
        return {"project": await ask("YardstickPlan", f"{state['profile']}\n{cited}")}

    nodes = (build_query, retrieve, filter_jobs, summarize, propose_subjects, generate_tasks)
    graph: StateGraph[State, None, Input, State] = StateGraph(State, input_schema=Input)
    for node in nodes:
        graph.add_node(node.__name__, node)
    names = [node.__name__ for node in nodes]
    for one, other in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, other)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool, saver:
            yield

    def on_thread(config: dict[str, Any], _: Request) -> dict[str, Any]:
        return {**config, "configurable": {"thread_id": uuid.uuid4().hex}}

    app = FastAPI(lifespan=lifespan)
    add_routes(app, graph.compile(checkpointer=saver), path="/generate", per_req_config_modifier=on_thread)
    return app
