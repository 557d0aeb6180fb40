"""A process that uses embedded parts: `python user.py HOME PART…`.

Prints one line of JSON (`seconds`, and `urls` or `error`), then leaves when its input ends or when
it is interrupted, and prints `{"left": seconds}`.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from local.servers import embedded_servers
from tools.core.errors import SetupError
from tools.core.settings import Settings

FIELDS = {"postgres": "database_url", "redis": "redis_url", "model": "openai_base_url"}


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main(home: str, *parts: str) -> None:
    given = {field: "given" for part, field in FIELDS.items() if part not in parts and part != "model"}
    key = {} if "model" in parts else {"openai_api_key": "given"}
    settings = Settings(home=Path(home), **given, **key)
    began = time.monotonic()
    try:
        with embedded_servers(settings) as ready:
            tell(
                seconds=time.monotonic() - began, urls={part: getattr(ready, FIELDS[part]) for part in parts}
            )
            with suppress(KeyboardInterrupt):
                sys.stdin.read()
            began = time.monotonic()
        tell(left=time.monotonic() - began)
    except SetupError as error:
        tell(seconds=time.monotonic() - began, error=error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
