"""What a document costs at each stage of the ingest, and whether memory stays flat over many.

    python -m evals.bench.ingest                      # 400 documents, stage by stage
    python -m evals.bench.ingest --documents 100000 --together

Documents are texts, each of its own. The model's server is a stand-in in a process of its own that
answers at once: it tags a document by its fixed layout, and gives each text a vector of its hash. So
what is measured is the ingest, with PostgreSQL's part (in `postgres`), and no model.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import multiprocessing
import random
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Annotated, Any

import numpy as np
import orjson
import psutil
import typer
from aiohttp import web
from pydantic import SecretStr
from rich.table import Table

from ingest.documents import Collected, Listed, RawFile
from ingest.pipeline.local_engine import Counts, StageRunner
from ingest.pipeline.run import Ingest, open_ingest
from local.servers import embedded_servers
from local.servers.files import temporary_home
from tools.core.fencing import unfence
from tools.core.settings import Settings
from tools.core.terminal import Terminal, exit_on_errors

_REPORT_EVERY = 5_000
_WORDS = [f"낱말{n}" for n in range(3_000)]


class Texts:
    """A source of different texts."""

    name = "texts"

    def __init__(self, number: int) -> None:
        self._number = number

    async def documents(self) -> AsyncIterator[Collected | Listed]:
        """Yields the texts."""
        for n in range(self._number):
            # Of many words, as postings are: texts of one mould would all be candidates for duplicates.
            words = random.Random(n)  # noqa: S311 - not a secret
            line = "- {}\n".format
            lines = [line(" ".join(words.choices(_WORDS, k=9))) for _ in range(10)]
            work, must, welcome = "".join(lines[:4]), "".join(lines[4:8]), "".join(lines[8:])
            parts = f"## 담당업무\n{work}\n## 자격요건\n{must}\n## 우대사항\n{welcome}"
            text = f"# 회사{n} 서버 개발자 {n}\n\n{parts}"
            yield Collected("texts", f"{n}", (RawFile(f"{n}.md", "text/markdown", text.encode()),))


async def _chat(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    blocks = unfence(body["messages"][-1]["content"])
    title = blocks["document"][0]["heading"]
    lines = "\n".join(row.get("text", "") for row in blocks["document"]).splitlines()
    items = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    facts = ("company", "employment_type", "experience", "location", "deadline", "normalized_company")
    empty = dict.fromkeys(facts)
    texts = ("responsibilities", "requirements", "preferred", "skills", "normalized_skills")
    lists: dict[str, Any] = {name: [] for name in texts}
    fields = {"responsibilities": items[:4], "requirements": items[4:8], "preferred": items[8:]}
    position = {**empty, **lists, **fields, "job_title": title, "normalized_title": None}
    answer = {"is_posting": True, "common": {**empty, **lists}, "positions": [position]}
    message = {"role": "assistant", "content": orjson.dumps(answer).decode()}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
    base = {"id": "c", "object": "chat.completion", "created": 0, "model": "stand-in"}
    return web.json_response({**base, "choices": [choice], "usage": usage})


async def _embeddings(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    rows = []
    for index, text in enumerate(body["input"]):
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())
        vector = np.random.default_rng(seed).standard_normal(body["dimensions"]).astype(np.float32)
        rows.append({"object": "embedding", "index": index, "embedding": base64.b64encode(vector).decode()})
    usage = {"prompt_tokens": 10, "total_tokens": 10}
    return web.json_response({"object": "list", "model": "stand-in", "data": rows, "usage": usage})


def _serve(port: Connection) -> None:
    async def main() -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", _chat)
        app.router.add_post("/v1/embeddings", _embeddings)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def _stand_in() -> Iterator[str]:
    """Runs the stand-in; its base URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def _cpu() -> float:
    """CPU seconds of this process and of the processes it has waited for."""
    own, waited = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + waited.ru_utime + waited.ru_stime


async def _by_stage(settings: Settings, documents: int, console: Terminal) -> None:
    """One stage after the other."""
    table = Table("stage", "documents/s", "CPU ms/document", title=f"{documents} texts", title_justify="left")
    async with open_ingest(settings) as ingest:
        ingest.sources.append(Texts(documents))
        await _timed(table, "collected", documents, ingest, [])
        ingest.sources.clear()
        for runner in ingest.runners():
            await _timed(table, runner.stage, documents, ingest, [runner])
    console.print(table)


async def _timed(table: Table, name: str, documents: int, ingest: Ingest, runners: list[StageRunner]) -> None:
    started, cpu = time.perf_counter(), _cpu()
    await ingest.collect_and_work(runners, Counts())
    seconds, spent = time.perf_counter() - started, _cpu() - cpu
    table.add_row(name, f"{documents / seconds:.0f}", f"{1000 * spent / documents:.2f}")


async def _together(settings: Settings, documents: int, console: Terminal) -> None:
    """All stages at the same time; prints the memory of this process every _REPORT_EVERY documents."""
    counts, process = Counts(), psutil.Process()
    started, cpu = time.perf_counter(), _cpu()

    async def watch() -> None:
        report_at = 0
        while True:
            await asyncio.sleep(0.5)
            if (done := counts.reached["loaded"]) >= report_at:
                report_at += _REPORT_EVERY
                memory, seconds = process.memory_info().rss / 1e6, time.perf_counter() - started
                console.print(f"{done:>7} loaded, {memory:.0f} MB, {seconds:.0f} s")

    async with open_ingest(settings) as ingest:
        ingest.sources.append(Texts(documents))
        watching = asyncio.create_task(watch())
        await ingest.collect_and_work(ingest.runners(), counts)
        watching.cancel()
    seconds, spent = time.perf_counter() - started, _cpu() - cpu
    memory = process.memory_info().rss / 1e6
    console.print(
        f"{counts.reached['loaded']} loaded in {seconds:.0f} s: {documents / seconds:.0f} a second, "
        f"{1000 * spent / documents:.1f} ms of CPU each; {memory:.0f} MB at the end",
    )


def main(
    documents: Annotated[int, typer.Option(min=1, help="how many are measured")] = 400,
    together: Annotated[bool, typer.Option("--together", help="all stages at the same time")] = False,
) -> None:
    """Measures what a document costs, in a home of its own, which is removed at the end."""
    with temporary_home() as home, _stand_in() as url:
        # Whatever the shell has configured: no money is spent, and no database of yours touched.
        own = {
            "home": home,
            "database_url": None,
            "redis_url": None,
            "raw": None,
            "openai_api_key": SecretStr("none"),
            "openai_base_url": url,
            "hub_prompts": (),
            "chat_per_second": 100_000,
            "parsers": (),
        }
        with embedded_servers(Settings().model_copy(update=own)) as ready:
            asyncio.run((_together if together else _by_stage)(ready, documents, Terminal()))


if __name__ == "__main__":
    with exit_on_errors():
        typer.run(main)
