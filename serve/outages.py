"""What `/readyz` says of models that are down, as this worker has found them."""

from __future__ import annotations

from typing import Any

from tools.llm.chat import ChatModel
from tools.llm.embeddings import Embedder


def model_outage(chat: ChatModel, embedder: Embedder) -> dict[str, Any]:
    """Returns the circuit of each model that was asked, the fallback's name and whether that serves now, and
    a `warning` while it does; also `ok` and `message`, where a model is down and none answers in its
    place."""
    down = [model for model, circuit in chat.circuits().items() if circuit.state != "closed"]
    helpless = [model for model, circuit in embedder.circuits().items() if circuit.state != "closed"]
    name, fallback = chat.fallback_name, chat.fallback_circuit()
    serves = bool(down) and name is not None and (fallback is None or fallback.state == "closed")
    circuits = {**chat.circuits(), **embedder.circuits()}
    report: dict[str, Any] = {
        "circuits": {model: circuit.report() for model, circuit in circuits.items()},
        "fallback_model": name,
        "fallback_circuit": fallback and fallback.report(),
        "fallback_serves": serves,
        "warning": f"{', '.join(down)}: down; {name} answers in its place" if serves else None,
    }
    if unserved := [*([] if serves else down), *helpless]:
        report |= {"ok": False, "message": f"{', '.join(unserved)}: down, and tried again by a call"}
    return report
