"""The OpenAPI description as it is committed: `python -m tests.openapi` writes it anew."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from serve.app import create_app
from tools.core.settings import CHECKOUT, Settings

COMMITTED = CHECKOUT / "docs" / "openapi.json"


@cache
def description() -> dict[str, Any]:
    """The description of a service without any setting, whatever the shell has."""
    return create_app(Settings.model_construct()).openapi()


if __name__ == "__main__":
    text = json.dumps(description(), ensure_ascii=False, indent=2)
    COMMITTED.write_text(f"{text}\n", encoding="utf-8")
