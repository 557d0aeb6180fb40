"""A walk through the docs in a fresh clone and a fresh home: `make walk`.

What the README and the pages of `docs/` tell a reader to type is typed: each target of make that ends by
itself, the servers that do not, and every curl. The sets are small where a whole one takes long. CI takes
the walk after the tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import pace, readme
from tests.pace import time_limit
from tests.serve.processes import free_port
from tests.walk.asking import Caller, answers, studio_runs
from tests.walk.clone import Clone, WalkError, cloned, uncommitted
from tools.core.processes import stop_ignoring_signals

KEY = "the walk's key"
AT_ONCE = ("demo", "doctor")
"""Started at the same time in the bare clone: each of them has to set it up."""
ENDING = {
    "demo-ingest": ("POSTERS=2",),
    "sbom": (),
    "eval": (),
    "bench": ("GENERATIONS=20",),
    "load": ("PEOPLE=20", "TIME=0.01"),
    "eval-ingest": ("POSTERS=2", "DOCUMENTS=40"),
}
"""What ends by itself, with the size of its set."""
SERVING = ("run", "studio")
APART = {"help", "check", "test-fast", "test", "clean", "ocr-data", "audit"}
"""`audit` asks another machine, `help` comes first, CI has run `test`, of which `check` and `test-fast` are
parts, `demo-ingest` needs `ocr-data`, and the clone is removed in the end."""


def main() -> None:
    """Walks; ends with status 1 where something went otherwise than the README has it."""
    stop_ignoring_signals()
    pace.slowness = pace.measured(Path(tempfile.gettempdir()))
    try:
        _walk()
    except WalkError as error:
        sys.exit(f"\n{error}")


def _walk() -> None:
    if uncommitted():
        _say("what is not committed is not walked\n")
    with cloned() as clone:
        text = readme.whole_text(clone.checkout)
        named = readme.targets(text)
        if unknown := named - {*AT_ONCE, *ENDING, *SERVING, *APART}:
            raise WalkError(f"the docs name {unknown}, which the walk does not know yet")
        with _step("make help"):
            listed = clone.make("help", seconds=time_limit())
            if missing := [target for target in named if f"make {target} " not in listed]:
                raise WalkError(f"`make help` does not list {missing}")
        with _step(f"make {' and make '.join(AT_ONCE)} at once, in the bare clone"):
            for running in [clone.start(target) for target in AT_ONCE]:
                running.ended_well(10 * time_limit())
        for target, words in ENDING.items():
            with _step(" ".join(("make", target, *words))):
                clone.make(target, *words, seconds=10 * time_limit())
        _run(clone, text)
        _studio(clone)


def _run(clone: Clone, text: str) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with _step("the hash of a key"):
        asked = ["sh", "-c", readme.hashing(text)]
        made = subprocess.run(
            asked,
            env={**clone.environment, "KEY": KEY},
            capture_output=True,
            text=True,
            timeout=time_limit(),
            check=True,
        )
    with _step(f"make run PORT={port}"):
        server = clone.start("run", f"PORT={port}", CHECKERBOARD_ADMIN_KEYS=f"walk:{made.stdout}")
        answers(server, address, "/readyz")
    with _step("make run on a port that is taken"):
        second = clone.start("run", f"PORT={port}")
        if not second.ended(time_limit()) or "PORT=" not in second.said() or "Traceback" in second.said():
            raise second.wrong("did not say what to do")
    with tempfile.TemporaryDirectory() as scratch:
        caller = Caller(port, KEY, Path(scratch))
        for line in readme.curls(text):
            with _step(line if len(line) < 100 else f"{line[:99]}…"):
                caller.send(line)
    with _step("Ctrl-C"):
        server.interrupt()
        clone.nothing_left()


def _studio(clone: Clone) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with _step(f"make studio PORT={port}"):
        server = clone.start("studio", f"PORT={port}")
        answers(server, address, "/ok")
        studio_runs(address)
    with _step("Ctrl-C"):
        server.interrupt()
        clone.nothing_left()


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Says what is done, and how long it took."""
    _say(f"{name} … ")
    began = time.monotonic()
    yield
    _say(f"{time.monotonic() - began:.1f} s\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
