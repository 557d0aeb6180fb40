"""What somebody who watches a run sees of it, who puts in and takes out as the events say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Watcher:
    """The subjects and the tasks that stand, by their places."""

    def __init__(self) -> None:
        self.subjects: dict[int, dict[str, Any]] = {}
        self.tasks: dict[tuple[int, int], dict[str, Any]] = {}
        self.titles: dict[int, str] = {}
        """Of the steps."""
        self.seen: list[dict[str, Any]] = []
        """Every subject that was shown, those that were withdrawn later too."""
        self._attempts = {"subjects": 0, "tasks": 0}

    def see(self, event: Mapping[str, Any]) -> None:
        """Takes an event in; others than the three are passed over."""
        data = event["data"]
        match event["type"]:
            case "subject":
                self._attempt("subjects", data)
                assert data["position"] not in self.subjects, "shown where another stands"
                self.subjects[data["position"]] = data["subject"]
                self.seen.append(data["subject"])
            case "task":
                self._attempt("tasks", data)
                place = data["step"], data["position"]
                assert place not in self.tasks, "shown where another stands"
                self.tasks[place] = data["task"]
                self.titles[data["step"]] = data["step_title"]
            case "withdrawn":
                self._attempt(data["what"], data)
                standing: dict[Any, Any] = self.subjects if data["what"] == "subjects" else self.tasks
                for place in list(standing) if data["positions"] is None else data["positions"]:
                    del standing[place]

    def _attempt(self, what: str, data: Mapping[str, Any]) -> None:
        assert data["attempt"] >= max(self._attempts[what], 1)
        self._attempts[what] = data["attempt"]

    def steps(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """The tasks that stand, by the titles of their steps."""
        steps: dict[int, list[dict[str, Any]]] = {}
        for (step, position), task in sorted(self.tasks.items()):
            assert position == len(steps.setdefault(step, [])), "a gap"
            steps[step].append(task)
        assert list(steps) == list(range(len(steps))), "a gap"
        return [(self.titles[step], tasks) for step, tasks in steps.items()]


def watched(events: Iterable[Mapping[str, Any]]) -> Watcher:
    """Returns what stands after `events`."""
    watcher = Watcher()
    for event in events:
        watcher.see(event)
    return watcher


def steps_of(project: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The tasks of an answer's project, as `Watcher.steps` has them."""
    return [(step["title"], step["tasks"]) for step in project["steps"]]
