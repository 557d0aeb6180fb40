"""The retrieval suite: how well a search finds the postings for a job."""
