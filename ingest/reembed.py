"""reembed: every posting embedded by the configured model, beside live traffic."""

from __future__ import annotations

from collections.abc import Callable

from tools.llm.embeddings import BATCH
from tools.services import Services


async def reembed(services: Services, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Embeds every posting that has no vector of the configured embedding; then that embedding serves.

    Workers that are configured for the former one go on with it meanwhile, and loads into it go on too:
    what they add is embedded before the new one is made ready. Broken off, it goes on where it stopped.
    `progress` is called with the texts and the tokens of each batch. Returns the number of texts.

    Raises:
        ModelUnavailableError: the model did not answer. What was embedded is kept.
    """
    embedded = after = 0
    while True:
        numbered = await services.vectors.lacking_of_all(after=after, count=BATCH)
        if numbered:
            after = numbered[-1][0]
            # One of each text: several postings may have it.
            texts = list({posting.text(): posting for _, posting in numbered}.values())
            answer = await services.embedder.postings(texts)
            await services.vectors.keep(texts, answer.vectors)
            embedded += len(numbered)
            progress(len(numbered), answer.tokens)
        elif await services.vectors.finish():
            after = 0
        else:
            return embedded
