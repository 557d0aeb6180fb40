"""The local parser: reads posters without a key or a network.

parser ─ starts ─► worker ─► segmentation (rules, ink) ─┬─► ruled_tables ──────────────────┐
                                                        └─► line_image ─► recognition ─────┴► page_blocks
"""

from ingest.parsers.local.parser import LocalParser

__all__ = ["LocalParser"]
