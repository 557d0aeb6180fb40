"""From the blocks of a document to its positions, by a chat model that may only copy."""
