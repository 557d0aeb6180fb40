"""What is pinned: the bill of materials of `make sbom`, and `make audit`, asking this machine."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.pace import time_limit
from tools.core.settings import CHECKOUT

PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def making(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs make on the .venv that there is: its stamps count as old, so that nothing is installed."""
    there = [f"--old-file={CHECKOUT}/.venv/.{stamp}" for stamp in ("uv", "runtime", "dev")]
    return subprocess.run(
        ["make", *there, *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=10 * time_limit(),
        check=False,
    )


def pinned(lock: str) -> set[tuple[str, str]]:
    """Names and versions of a lock."""
    return set(PINNED.findall((CHECKOUT / "requirements" / lock).read_text(encoding="utf-8")))


def test_the_bill_of_materials_names_what_production_installs(tmp_path: Path) -> None:
    """By its package URL and its hashes, in a form that other tools read, and the same each time."""
    made = [tmp_path / "one.json", tmp_path / "two.json"]
    for path in made:
        ran = making("sbom", f"SBOM={path}")
        assert ran.returncode == 0, ran.stderr
    text = made[0].read_text(encoding="utf-8")
    assert text == made[1].read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "checkerboard"
    components = {(part["name"], part["version"]): part for part in bill["components"]}
    assert set(components) == pinned("production.txt")
    for (name, version), part in components.items():
        assert part["purl"] == f"pkg:pypi/{name}@{version}"
        assert part["externalReferences"][0]["hashes"]


class Advisories:
    """OSV's API (https://google.github.io/osv.dev/post-v1-query/) on this machine: what is known against
    packages, by name."""

    def __init__(self, **known: str) -> None:
        self.known = known
        self.asked: set[tuple[str, str]] = set()

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        name, version = query["package"]["name"], query["version"]
        self.asked.add((name, version))
        if name not in self.known:
            return {}
        affected = {"package": {"name": name, "ecosystem": "PyPI"}, "versions": [version]}
        told = {"id": self.known[name], "summary": "made up", "details": "made up", "affected": [affected]}
        return {"vulns": [told]}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serves on a free port; yields the address."""
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = json.loads(self.rfile.read(int(self.headers["content-length"])))
                body = json.dumps(told.answer(query)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
            finally:
                server.shutdown()
                thread.join()


@pytest.mark.parametrize("known", [{}, {"pillow": "PYSEC-0000-1"}], ids=["clean", "weak"])
def test_the_audit_asks_about_every_pinned_version(known: dict[str, str]) -> None:
    advisories = Advisories(**known)
    with advisories.serving() as url:
        ran = making("audit", f"OSV={url}")
    said = ran.stdout + ran.stderr
    assert ran.returncode == (2 if known else 0), said
    for name, found in known.items():
        assert name in said
        assert found in said
    # What other systems and other versions of Python alone install is passed over.
    here = {(one.metadata["Name"].lower().replace("_", "-"), one.version) for one in distributions()}
    wanted = pinned("production.txt") & here
    assert len(wanted) > 50
    assert wanted <= advisories.asked


def test_an_audit_that_nobody_answers_does_not_pass() -> None:
    ran = making("audit", "OSV=http://127.0.0.1:9/v1/query")
    assert ran.returncode == 2
    assert "127.0.0.1" in ran.stdout + ran.stderr
