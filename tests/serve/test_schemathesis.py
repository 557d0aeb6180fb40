"""Schemathesis asks the whole service what its OpenAPI description allows and forbids.

No request gets a 5xx, and every answer is one that the description promises: its status, its media type, its
headers, its body, events of streams too. What is wrong is refused, without a key too, and a method that there
is not is told which there are. How many requests, and which checks are left out and why: `schemathesis.toml`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path

import httpx
from pydantic import SecretStr

from tests.pace import time_limit
from tests.serve.conftest import served
from tools.core.settings import Settings

KEY = "the key of schemathesis"
CONFIG = Path(__file__).with_name("schemathesis.toml")


async def test_every_operation_answers_what_its_description_promises(
    settings: Settings, tmp_path: Path
) -> None:
    """With a key: so the service refuses whoever has none, and Schemathesis sees that too."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    keyed = settings.model_copy(update={"api_keys": SecretStr(f"schemathesis:{digest}")})
    async with served(keyed) as address:
        async with httpx.AsyncClient(base_url=address) as client:
            described = (await client.get("/openapi.json")).json()
        for path in described["paths"].values():
            for operation in path.values():
                # Whoever is to check each event is not to take the whole for one string.
                operation["responses"].get("200", {}).get("content", {}).get("text/event-stream", {}).pop(
                    "schema", 0
                )
        description = tmp_path / "openapi.json"
        await asyncio.to_thread(description.write_text, json.dumps(described))
        asking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", str(description), "--url", address),
            *("--no-color", "--header", f"Authorization: Bearer {KEY}"),
            cwd=tmp_path,  # it leaves what it found in a folder
            env={**os.environ, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(asking.communicate(), 20 * time_limit())
        finally:
            if asking.returncode is None:
                asking.kill()
                await asking.wait()
    assert asking.returncode == 0, said.decode()
