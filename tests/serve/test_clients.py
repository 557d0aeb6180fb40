"""Clients that others have made, or that generators make of the OpenAPI description, call the service."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests import readme
from tests.pace import time_limit

TYPESCRIPT = Path(__file__).parent / "typescript"
BIN = Path(sys.executable).parent


async def succeeded(*command: str | Path, cwd: Path) -> str:
    """Runs a command; returns what it said."""
    # The generator of the Python client has ruff tidy up what it wrote.
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), time_limit() * 3)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.fixture(scope="module")
async def description(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's description, as a file."""
    file = tmp_path_factory.mktemp("clients") / "openapi.json"
    async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
        file.write_text((await client.get("/openapi.json")).text)
    return file


@pytest.fixture(scope="module")
async def made(description: Path) -> AsyncIterator[ModuleType]:
    """The package that openapi-python-client makes; it can make all of it."""
    folder = description.parent
    said = await succeeded(
        BIN / "openapi-python-client", "generate", "--path", description, "--output-path",
        folder / "made_client", "--meta", "none", "--fail-on-warning",
        cwd=folder,
    )  # fmt: skip
    assert "warning" not in said.lower()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("made_client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_client"]:
        del sys.modules[name]


@pytest.fixture
async def call(made: ModuleType, address: str) -> AsyncIterator[Any]:
    """Calls an operation of the made client by its name."""
    async with made.Client(base_url=address, timeout=httpx.Timeout(time_limit())) as client:

        async def call(operation: str, *path: str, **arguments: Any) -> Any:
            module = importlib.import_module(f"made_client.api.{operation}")
            response = await module.asyncio_detailed(*path, client=client, **arguments)
            return response.parsed if response.parsed is not None else response.status_code

        yield call


async def test_the_python_client_generates_and_regenerates(made: ModuleType, call: Any) -> None:
    models = importlib.import_module("made_client.models")
    profile = models.Profile(desired_job="백엔드 개발자", skills=["Java"])
    asked = models.GenerateRequest(input_=models.GenerateInput(profile=profile, language=models.Language.KO))
    first = await call("generate.generate", body=asked, idempotency_key="python")
    assert isinstance(first, models.RunResponse), first
    assert first.output.project.steps[0].tasks[0].deliverable
    again = await call("generate.generate", body=asked, idempotency_key="python")
    assert again.output == first.output

    wishes = models.RegenerateInput(session_id=first.output.session_id, difficulty=models.Difficulty.BEGINNER)
    second = await call("regenerate.regenerate", body=models.RegenerateRequest(input_=wishes))
    assert second.output.project.difficulty == models.Difficulty.BEGINNER
    view = await call("sessions.get_session", first.output.session_id)
    assert [project.title for project in view.history] == [
        first.output.project.title,
        second.output.project.title,
    ]
    found = await call("postings.search_postings", q="Java", k=3)
    assert len(found) == 3
    assert (await call("postings.get_posting", found[0].posting_id)).job_title == found[0].job_title
    assert (await call("health.readyz")).parts["postgres"].ok is True


async def test_the_python_client_reads_a_stream_event_by_event(made: ModuleType, call: Any) -> None:
    models = importlib.import_module("made_client.models")
    asked = models.GenerateRequest(input_=models.GenerateInput(models.Profile(desired_job="QA")))
    text = await call("generate.generate_stream", body=asked)
    events = [
        json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")
    ]
    kinds = {
        "node_started": models.NodeStarted,
        "node_finished": models.NodeFinished,
        "subject": models.SubjectProposed,
        "task": models.TaskMade,
        "result": models.RunSucceeded,
    }
    read = [kinds[event["type"]].from_dict(event) for event in events if "type" in event]
    assert {type(event) for event in read} == set(kinds.values())
    assert read[-1].data.project.title


async def test_the_python_client_reads_errors(made: ModuleType, call: Any) -> None:
    models = importlib.import_module("made_client.models")
    wrong = models.GenerateRequest(input_=models.GenerateInput(models.Profile(desired_job=" ")))
    refused = await call("generate.generate", body=wrong)
    assert isinstance(refused, models.ErrorBody)
    assert refused.error.details.fields[0].field == "profile.desired_job"
    gone = await call("sessions.get_session", "0" * 32)
    assert gone.error.code == "session_not_found"


@pytest.fixture(scope="module")
async def npm_packages() -> Path:
    """The folder of the clients in JavaScript, with their packages. Who has no npm may go without; CI may
    not."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip(
            "the clients in JavaScript are not tested: there is no npm here (Debian: `apt-get install npm`)"
        )
    installed = TYPESCRIPT / "node_modules" / ".package-lock.json"
    if (
        not installed.exists()
        or installed.stat().st_mtime < (TYPESCRIPT / "package-lock.json").stat().st_mtime
    ):
        await succeeded("npm", "ci", "--no-audit", "--no-fund", cwd=TYPESCRIPT)
    return TYPESCRIPT


async def test_the_typescript_client_compiles_and_calls_the_service(
    npm_packages: Path, description: Path, address: str
) -> None:
    await succeeded("npx", "openapi-typescript", description, "-o", "build/api.d.ts", cwd=npm_packages)
    await succeeded("npx", "tsc", cwd=npm_packages)
    saw = json.loads(await succeeded("node", "build/client.js", address, cwd=npm_packages))
    assert saw.pop("title")
    assert saw == {
        "repeated": True,
        "events": ["metadata", "data", "end"],
        "types": ["node_started", "subject", "node_finished", "task", "result"],
        "told": 0,
        "batch": 1,
        "history": 2,
        "found": [True, True],
        "forgotten": 204,
        "gone": "session_not_found",
        "refused": ["profile.desired_job"],
    }


async def test_langchain_for_javascript_runs_the_service_as_a_remote_runnable(
    npm_packages: Path, address: str
) -> None:
    """Up to 0.3 of `@langchain/core`: in 1.x there is no RemoteRunnable any more."""
    saw = json.loads(await succeeded("node", "langchain.mjs", address, cwd=npm_packages))
    assert saw.pop("title")
    assert saw == {
        "types": ["node_started", "subject", "node_finished", "task", "result"],
        "batch": 1,
        "nodes": 7,  # six, and the runnable itself
        "refused": True,
    }


async def test_the_client_of_ag_ui_generates_regenerates_and_chats(npm_packages: Path, address: str) -> None:
    saw = json.loads(await succeeded("node", "agui.mjs", address, cwd=npm_packages))
    first = saw.pop("first")
    assert list(first.pop("result")) == ["session_id"]
    assert first.pop("types") == [
        "RUN_STARTED",
        "STATE_SNAPSHOT",
        "CUSTOM",
        "STEP_STARTED",
        "STEP_FINISHED",
        "STATE_DELTA",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    custom = first.pop("custom")
    assert [name for name in custom if name != "warnings"] == ["queued", "finding", "evidence"]
    assert first == {"steps": 6, "grew": True}
    assert set(saw.pop("second")) >= {"STEP_STARTED", "STATE_DELTA", "RUN_FINISHED"}
    assert saw == {
        "third": 2,
        "warned": [],  # each patch could be applied
        "sessions": 1,
        "titles": 3,
        "difficulty": True,
        "mine": "kept",
        "answer": True,
        "chat": [
            {"desired_job": "QA engineer", "introduction": "QA engineer\nI know Python and like games."},
            True,
            True,
        ],
        "said": ["user", "assistant", "user", "assistant"],
        "refused": [422, "state.profile"],
    }


async def test_the_example_of_ag_ui_in_the_docs_prints_two_titles(npm_packages: Path, address: str) -> None:
    code = readme.block(readme.text_of(readme.API), "js").replace("http://localhost:8000", address)
    said = await succeeded("node", "--input-type=module", "-e", code, cwd=npm_packages)
    assert len(set(said.splitlines())) == 2
