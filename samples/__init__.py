"""Sample postings, profiles and posters, which are read as files.

`samples.programs` wrote them. Nothing that a run needs imports it.
"""
