"""Keys that are stored: `checkerboard keys` makes, lists, revokes and rotates them, and every worker has
them in force within two seconds.

    commands    checkerboard keys …
    store       the rows in PostgreSQL
    watch       what a worker does: reads them anew when they have changed, and writes when they were used

Who a request comes from by them, and by the keys of the environment, is in `serve/callers.py`.
"""
