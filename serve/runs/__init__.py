"""Runs in the background: asked for by one request, done by any worker, watched by any number.

| module | what |
|---|---|
| `routes.py`, `models.py` | `/runs`: what is asked and answered |
| `runs.py` | starts, shows, cancels and resumes runs, and does those that are handed to this worker |
| `store.py` | what Redis holds of a run: its record, and its events, each change one step with its event |
| `events.py` | watching: replay, gaps, heartbeats |
| `signals.py` | news from worker to worker: an event was added, a run waits, one is cancelled |
| `process.py` | `checkerboard worker` |
| `engine.py` | the queue, by procrastinate: hands a run to a worker, and to another when that has died |
"""
