"""Stand-ins of the sites that sources read: servers on loopback that answer as these do, and fail on demand.

async with Greenhouse(acme=[greenhouse.job(1)]).serving() as site:
    open_source(f"greenhouse:acme@{site.url}", settings, web)
"""
