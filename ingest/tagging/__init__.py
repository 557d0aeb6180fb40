"""tag: documents into positions, by a chat model that may only copy."""

from ingest.tagging.tagger import Tagger

__all__ = ["Tagger"]
