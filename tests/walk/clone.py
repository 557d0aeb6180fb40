"""A fresh clone in a fresh home, and what is typed there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.pace import time_limit
from tools.core.settings import CHECKOUT

_KEPT = ("PATH", "TZ", "TMPDIR", "CI", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_PREFIXES = ("PIP_", "UV_")
_LAST_LINES = 40


class WalkError(Exception):
    """Something that the README promises did not happen."""


@dataclass(frozen=True)
class Clone:
    """The checkout, and the environment of a shell in it."""

    checkout: Path
    environment: dict[str, str]

    def start(self, *words: str, **environment: str) -> Running:
        """Starts `make` with these words."""
        log = tempfile.TemporaryFile()  # noqa: SIM115 - read at the end
        process = subprocess.Popen(
            ["make", *words],
            cwd=self.checkout,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Running(f"make {' '.join(words)}", process, log)

    def make(self, *words: str, seconds: float, **environment: str) -> str:
        """Runs `make` with these words to its end, which has to be a good one; what it said."""
        return self.start(*words, **environment).ended_well(seconds)

    def nothing_left(self) -> None:
        """Waits until no process of this clone runs."""
        _, alive = psutil.wait_procs(self.processes(), time_limit())
        if alive:
            raise WalkError(f"left behind: {[process.cmdline() for process in alive]}")

    def processes(self) -> list[psutil.Process]:
        """Every process whose command line names the clone."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.checkout) in word for word in process.info["cmdline"] or []):
                found.append(process)
        return found


@dataclass(frozen=True)
class Running:
    """A `make` at work."""

    words: str
    process: subprocess.Popen[bytes]
    log: object

    def said(self) -> str:
        """What it has said so far."""
        self.log.seek(0)  # type: ignore[attr-defined]
        return self.log.read().decode(errors="replace")  # type: ignore[attr-defined, no-any-return]

    def ended(self, seconds: float) -> int:
        """Waits for its end; its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.interrupt()
            raise self.wrong(f"did not end within {seconds:.0f} s") from None

    def ended_well(self, seconds: float) -> str:
        """Waits for its good end; what it said."""
        if code := self.ended(seconds):
            raise self.wrong(f"ended with {code}")
        if "Traceback" in self.said():
            raise self.wrong("showed a traceback")
        return self.said()

    def interrupt(self) -> None:
        """Presses Ctrl-C, and waits for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(time_limit())
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise self.wrong("did not end by Ctrl-C") from None

    def wrong(self, what: str) -> WalkError:
        """An error with the last lines that it said."""
        last = "\n".join(self.said().splitlines()[-_LAST_LINES:])
        return WalkError(f"`{self.words}` {what}; it said last:\n{last}")


@contextmanager
def cloned() -> Iterator[Clone]:
    """Clones what is committed into a new folder, with a home of its own; ends what is left of it, and
    removes both.

    Of the developer's shell it has the path and what tells pip and uv where packages are; of the
    developer's home nothing but uv's cache, which saves a download.
    """
    with tempfile.TemporaryDirectory(prefix="checkerboard-walk-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's PostgreSQL is another user
        (folder / "home").mkdir()
        checkout = folder / "checkout"
        _output("git", "clone", "--quiet", str(CHECKOUT), str(checkout))
        kept = {
            key: value
            for key, value in os.environ.items()
            if key in _KEPT or key.startswith(_KEPT_PREFIXES) or key.lower().endswith("_proxy")
        }
        cache = _output(str(Path(sys.executable).with_name("uv")), "cache", "dir")
        own = {
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "UV_CACHE_DIR": cache,
            "BROWSER": "true",  # Studio would open one
            "LANGSMITH_TRACING": "false",
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        }
        clone = Clone(checkout, {**kept, **own})
        try:
            yield clone
        finally:
            for process in clone.processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def uncommitted() -> bool:
    """Whether the checkout has changes that a clone does not have."""
    return bool(_output("git", "-C", str(CHECKOUT), "status", "--porcelain"))


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=time_limit(), check=False)
    if done.returncode:
        raise WalkError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout.strip()
