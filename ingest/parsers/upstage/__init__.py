"""Upstage Document Parse: `api.py` asks, `elements.py` reads the answer, `parser.py` is the parser."""
