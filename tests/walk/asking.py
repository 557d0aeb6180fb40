"""What is asked of the servers that `make run` and `make studio` start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from tests.pace import time_limit
from tests.walk.clone import Running, WalkError

OK, CREATED, ACCEPTED, NO_CONTENT = 200, 201, 202, 204


def answers(server: Running, address: str, path: str) -> None:
    """Waits until the server answers well there; a first start makes a database and loads the samples."""
    deadline = time.monotonic() + 3 * time_limit()
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise server.wrong("ended")
        try:
            if httpx.get(address + path, timeout=time_limit()).status_code == OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise server.wrong(f"gave no answer at {path}")


class Caller:
    """Sends the README's curls to a running service, with what they stand for put in."""

    def __init__(self, port: int, key: str, scratch: Path) -> None:
        self._port = port
        self._key = key
        self._body = scratch / "body"
        self._known: dict[str, str] = {}

    def send(self, line: str) -> None:
        """Sends one, and looks at the answer's status and at what it says.

        Raises:
            WalkError: it is not the answer that the README promises.
        """
        for word, value in {"localhost:8000": f"localhost:{self._port}", **self._known}.items():
            line = line.replace(word, value)
        self._body.unlink(missing_ok=True)
        options = f"--max-time {time_limit():.0f} -o '{self._body}' -w '%{{http_code}}'"
        sent = subprocess.run(
            ["sh", "-c", re.sub(r"^curl", f"curl {options}", line)],
            env={**os.environ, "KEY": self._key},
            capture_output=True,
            text=True,
            timeout=2 * time_limit(),
            check=False,
        )
        body = self._body.read_text(encoding="utf-8") if self._body.exists() else ""
        wanted = _status(line)
        if sent.stdout != str(wanted):
            raise WalkError(f"{line}\nended with status {sent.stdout}, not {wanted}: {body[-2000:]}")
        if problem := self._looked_at(line, body):
            raise WalkError(f"{line}\nwas answered, but {problem}: {body[-2000:]}")

    def _looked_at(self, line: str, body: str) -> str:
        """Keeps the ids that an answer has; what is wrong with it, if anything."""
        path = re.findall(r"localhost:\d+/(\S*)", line)[0]
        if path.endswith("/stream"):
            return "" if '"type":"result"' in body.replace(" ", "") else "it does not end with a result"
        if path.endswith("/events"):
            return "" if "event: result" in body else "it does not end with a result"
        if path.endswith("/stream_events"):
            return "" if "on_chain_end" in body and "event: error" not in body else "it does not end well"
        if path == "agui/run":
            return "" if "RUN_FINISHED" in body else "the run does not finish"
        if path == "metrics":
            return "" if "\ncheckerboard_" in body else "it has no figure of the service"
        if path.endswith(".md"):
            return "" if body.startswith("# ") else "it is no Markdown"
        if not body:
            return ""
        answer: Any = json.loads(body)
        if path.endswith("/invoke"):
            self._known["SESSION"] = answer["output"]["session_id"]
            self._known["p-1"] = answer["output"]["postings"][0]["posting_id"]
        for word, name in (("KEPT", "kept_id"), ("RUN", "run_id")):
            if name in answer:
                self._known[word] = answer[name]
        return ""


def _status(line: str) -> int:
    """Returns the status that is promised for a curl."""
    if re.search(r"/runs(/\S+/resume)? |DELETE \S+/runs/", f"{line} ") and re.search(" -d | -X ", line):
        return ACCEPTED
    if " DELETE " in line:
        return NO_CONTENT
    return CREATED if "/kept -H" in line else OK


def studio_runs(address: str) -> None:
    """Has Studio's server run the graph.

    Raises:
        WalkError: no project came of it.
    """
    profile = {"desired_job": "백엔드 개발자", "skills": ["Java", "Spring Boot"]}
    given = {"assistant_id": "checkerboard", "input": {"profile": profile, "language": "ko"}}
    response = httpx.post(f"{address}/runs/wait", json=given, timeout=2 * time_limit())
    if response.status_code != OK or not response.json().get("project"):
        raise WalkError(f"Studio's server answered {response.status_code}: {response.text[-2000:]}")
