"""The local parser: reads posters without a key or a network.

decode ─► rules ─► grid ─► tables ─┐
   └────► ink ─► picture ─► reader ┴► open_tables ─► arrange ─► blocks
"""

from ingest.parsers.local.parser import LocalParser

__all__ = ["LocalParser"]
