"""Limits of those who call, exact over all workers: requests a minute, runs at once, tokens a day, money a
month (docs/decisions/0042-limits.md).

    principals    who is limited, a key or the address of somebody without one, and to what
    counts      what Redis counts of them
    holds       what the runs of a request hold of it, from its door until they have ended

Where nobody has set a limit for who calls, Redis is not asked.
"""
