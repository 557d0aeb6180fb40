"""Locust's people: `locust -f evals/load/people.py --headless --plan PLAN.json`, or with its page instead.

Each asks for a project, waits for the answer or watches the events until it is there, and begins again with
another profile, a number of times. What each request was like goes as a line into the plan's `requests` file;
the test ends when the last has its answer.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError
from locust import User, constant, events, task
from locust.env import Environment
from locust.exception import StopUser

_HEADERS = {"content-type": "application/json"}
_OK = 200


class Plan:
    """What the driver has written down: who asks whom for what, and how often."""

    def __init__(self, path: Path) -> None:
        plan: dict[str, Any] = json.loads(path.read_text())
        self.host, self.port = str(plan["host"]), int(plan["port"])
        self.watching = float(plan["watching"])
        self.profiles: list[dict[str, Any]] = plan["profiles"]
        self.generations = int(plan["generations"])
        self.limit_seconds = float(plan["limit_seconds"])
        self.requests = Path(plan["requests"])
        self.mark = str(plan["mark"])
        self.first_number = int(plan["first_number"])
        self.people = int(plan["people"])
        self.left = self.people * self.generations


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _options(parser: Any) -> None:
    parser.add_argument("--plan", required=True, help="the driver's file")


@events.init.add_listener  # type: ignore[untyped-decorator]
def _begin(environment: Environment, **_: Any) -> None:
    assert environment.parsed_options is not None  # noqa: S101 - a command line has been read
    Person.plan = Plan(Path(environment.parsed_options.plan))
    Person.numbers = itertools.count(Person.plan.first_number)
    Person.places = itertools.count()
    Person.lines = Person.plan.requests.open("w", buffering=1)


class Person(User):
    """Somebody who asks, again and again."""

    wait_time = constant(0)
    plan: Plan
    numbers: itertools.count[int]
    places: itertools.count[int]
    lines: Any

    def on_start(self) -> None:
        """Has a connection of his or her own, as a browser has."""
        self.place = next(self.places)
        self.asked = 0
        self.client = HTTPClient(
            self.plan.host,
            self.plan.port,
            concurrency=1,
            connection_timeout=self.plan.limit_seconds,
            network_timeout=self.plan.limit_seconds,
        )

    @task
    def ask(self) -> None:
        """Asks for one project."""
        plan = self.plan
        if self.place >= plan.people:
            # Locust puts another in the place of somebody who has ended while people still arrive.
            raise StopUser
        began, wall = time.perf_counter(), time.time()
        number = next(self.numbers)
        # Evenly: of ten in a row, a watching share of .1 is the tenth.
        watches = int(number * plan.watching) > int((number - 1) * plan.watching)
        path = "/generate/stream" if watches else "/generate/invoke"
        outcome = self._request(path, number, began)
        seconds = time.perf_counter() - began
        line = {"number": number, "at": wall, "seconds": seconds, **outcome}
        self.lines.write(json.dumps(line) + "\n")
        self.environment.events.request.fire(
            request_type="POST",
            name=path,
            response_time=seconds * 1_000,
            response_length=outcome["bytes"],
            exception=None if outcome["code"] == "result" else Exception(outcome["code"]),
            context={},
        )
        self.asked += 1
        plan.left -= 1
        if not plan.left:
            assert self.environment.runner is not None  # noqa: S101 - it runs
            gevent.spawn(self.environment.runner.quit)
        if self.asked == plan.generations:
            self.client.close()
            raise StopUser

    def _request(self, path: str, number: int, began: float) -> dict[str, Any]:
        """Returns the code of what came (`result`, or an error's), the HTTP status, when the first event came
        and how many bytes there were."""
        profile = dict(self.plan.profiles[number % len(self.plan.profiles)])
        profile["desired_job"] = f"{profile['desired_job']} {self.plan.mark % number}"
        body = json.dumps({"input": {"profile": profile}}, ensure_ascii=False).encode()
        first, received, status = None, 0, 0
        try:
            with gevent.Timeout(self.plan.limit_seconds):
                response = self.client.request("POST", path, body=body, headers=_HEADERS)
                status = response.status_code
                if status != _OK or "event-stream" not in str(response.get("content-type")):
                    answer = bytes(response.read())
                    received = len(answer)
                    code = "result" if status == _OK else json.loads(answer)["error"]["code"]
                else:
                    code = "broken_off"
                    for event in _events(response):
                        received += len(event)
                        if b'"type":' not in event:
                            continue
                        first = first or time.perf_counter() - began
                        if b'"type":"result"' in event:
                            code = "result"
                        elif b'"type":"error"' in event:
                            code = json.loads(event[event.index(b"{") :])["data"]["code"]
        except gevent.Timeout:
            code = "no_answer_in_time"
            self.client.close()
        except (OSError, ValueError, KeyError, HTTPParseError) as error:
            code = type(error).__name__
            self.client.close()
        return {"code": code, "status": status, "first_event": first, "bytes": received}


def _events(response: Any) -> Iterator[bytes]:
    """Yields the lines of a stream of events as they come."""
    while line := bytes(response.readline(b"\n")):
        yield line
