"""The offline model's answers, by way of the whole service: they pass its checks at the first try, and are not
wrong in what a person sees first."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path
from typing import Any, get_args

import pytest

from graph.sessions.checkpointer import open_checkpointer
from graph.sessions.sessions import Sessions
from serve.context import AppContext
from tools.core.contracts import Language, Profile, Wishes

PROFILES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "samples" / "profiles.jsonl").read_text("utf-8").splitlines()
]
