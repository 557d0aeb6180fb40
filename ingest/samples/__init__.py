"""Written sample postings of fictional companies, so that a fresh checkout has a market to look at."""
