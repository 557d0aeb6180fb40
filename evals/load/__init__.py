"""The load experiment: people who ask at the same time, with a model that takes its time (docs/load.md).

__main__        `make load`: starts the parts, measures their processes, writes what came of it
standin_model   a process: the model, which answers with prepared bytes after a drawn time
synchronous     a process: the comparator, a service that keeps a thread for each of its people
people          a process: Locust and its people
processes       CPU and memory of each process, and how late the service's loop is
report          the table, the plot and the file of a run
"""
