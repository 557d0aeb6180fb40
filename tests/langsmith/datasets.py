"""Data sets and their versions: every change is a version of its own, named by its time and by tags.

| topic | here |
|---|---|
| version | the whole set after a change; `as_of` names one by a time at or after it, or by a tag |
| tags | each points to one version and can be moved; `latest` moves by itself |
| order of examples | what was changed last comes first, as on the real server: not the order they came in |
| filter expressions | refused (422) |
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tests.langsmith.multipart import parts
from tests.langsmith.runs import moment
from tests.langsmith.server import Answer, Call, Refused

LATEST = "latest"
Rows = dict[str, dict[str, Any]]
"""Examples by their id."""


@dataclass(slots=True)
class Version:
    """A data set as it was from a moment on."""

    as_of: datetime
    rows: Rows
    tags: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {"as_of": self.as_of.isoformat(), "tags": sorted(self.tags)}


@dataclass(slots=True)
class Dataset:
    """A data set: what is told of it, and its versions, oldest first."""

    about: dict[str, Any]
    versions: list[Version] = field(default_factory=list)

    @property
    def rows(self) -> Rows:
        """The newest version's examples."""
        return self.versions[-1].rows if self.versions else {}

    def at(self, reference: str) -> Version:
        """The version that a tag or a time names; raises `Refused` (404) where there is none."""
        tagged = next((version for version in self.versions if reference in version.tags), None)
        if tagged is not None:
            return tagged
        try:
            wanted = moment(reference)
        except ValueError as error:
            raise Refused(404, "Dataset version not found") from error
        past = [version for version in self.versions if version.as_of <= wanted]
        if not past:
            raise Refused(404, "Dataset version not found")
        return past[-1]

    def has_held(self, example_id: str) -> bool:
        """Whether an example is in any version."""
        return any(example_id in version.rows for version in self.versions)

    def tag(self, name: str, version: Version) -> None:
        """Moves a tag to a version."""
        for other in self.versions:
            other.tags.discard(name)
        version.tags.add(name)


class Datasets:
    """Answers under `/datasets`, `/examples` and `/platform/datasets`. `now` never gives a time twice."""

    def __init__(self, tenant: str, now: Callable[[], datetime]) -> None:
        self.kept: dict[str, Dataset] = {}
        self._tenant = tenant
        self._now = now

    def named(self, name: str) -> Dataset:
        """The data set of a name."""
        return next(found for found in self.kept.values() if found.about["name"] == name)

    def answer(self, call: Call) -> Answer | None:
        """Answers a request; None: this is no path of data sets."""
        match call.method, call.parts:
            case "POST", ["datasets"]:
                return self._create(call.json())
            case "GET", ["datasets"]:
                return Answer([self._shown(found) for found in self._listed(call)][call.window(100)])
            case method, ["datasets", dataset_id, *rest]:
                return self._dataset(method, self._found(dataset_id), rest, call)
            case "POST" | "PATCH" as method, ["platform", "datasets", dataset_id, "examples"]:
                return self._take_form(self._found(dataset_id), call, is_new=method == "POST")
            case "POST", ["platform", "datasets", "examples", "delete"]:
                return self._delete(call.json()["example_ids"])
            case "POST", ["examples"]:
                asked = call.json()
                asked.setdefault("id", str(uuid.uuid4()))
                self._put(self._found(asked["dataset_id"]), {asked["id"]: asked}, is_new=True)
                return Answer(self._example(asked["id"], LATEST))
            case "GET", ["examples"]:
                return self._examples(call)
            case "DELETE", ["examples"]:
                return self._delete(call.query.getall("example_ids"))
            case "GET", ["examples", example_id]:
                return Answer(self._example(example_id, call.query.get("as_of", LATEST)))
            case "DELETE", ["examples", example_id]:
                return self._delete([example_id])
        return None

    def _found(self, dataset_id: str) -> Dataset:
        if dataset_id not in self.kept:
            raise Refused(404, "Dataset not found")
        return self.kept[dataset_id]

    def _create(self, asked: dict[str, Any]) -> Answer:
        if any(found.about["name"] == asked["name"] for found in self.kept.values()):
            raise Refused(409, "Dataset with this name already exists.")
        now = self._now().isoformat()
        about = {
            "id": str(uuid.uuid4()),
            "tenant_id": self._tenant,
            "name": asked["name"],
            "description": asked.get("description"),
            "data_type": asked.get("data_type", "kv"),
            "created_at": now,
            "modified_at": now,
            "inputs_schema_definition": asked.get("inputs_schema_definition"),
            "outputs_schema_definition": asked.get("outputs_schema_definition"),
            "metadata": (asked.get("extra") or {}).get("metadata", {}),
        }
        made = self.kept[about["id"]] = Dataset(about)
        return Answer(self._shown(made))

    def _shown(self, dataset: Dataset) -> dict[str, Any]:
        return {**dataset.about, "example_count": len(dataset.rows)}

    def _listed(self, call: Call) -> list[Dataset]:
        query = call.query
        wanted = orjson.loads(query.get("metadata", "{}"))
        return [
            found
            for found in reversed(self.kept.values())
            if query.get("name") in (None, found.about["name"])
            and query.get("name_contains", "") in found.about["name"]
            and ("id" not in query or found.about["id"] in query.getall("id"))
            and wanted.items() <= found.about["metadata"].items()
        ]

    def _dataset(self, method: str, dataset: Dataset, rest: list[str], call: Call) -> Answer | None:
        match method, rest:
            case "GET", []:
                return Answer(self._shown(dataset))
            case "DELETE", []:
                del self.kept[dataset.about["id"]]
                return Answer({})
            case "PUT", ["tags"]:
                asked = call.json()
                version = dataset.at(asked["as_of"])
                dataset.tag(asked["tag"], version)
                return Answer(version.as_json())
            case "GET", ["versions"]:
                text = call.query.get("search", "")
                found = [v.as_json() for v in reversed(dataset.versions) if text in " ".join(v.tags)]
                return Answer(found[call.window(100)])
            case "GET", ["version"]:
                return Answer(dataset.at(call.query.get("tag") or call.query["as_of"]).as_json())
            case "GET", ["versions", "diff"]:
                return Answer(
                    _difference(*(dataset.at(call.query[f"{end}_version"]).rows for end in ("from", "to")))
                )
            case "GET", ["splits"]:
                rows = dataset.at(call.query.get("as_of", LATEST)).rows.values()
                return Answer(sorted({split for row in rows for split in row["metadata"]["dataset_split"]}))
        return None

    def _take_form(self, dataset: Dataset, call: Call, *, is_new: bool) -> Answer:
        given: Rows = {}
        for part in parts(call):
            match part.name:
                case [example_id]:
                    given[example_id] = part.json()
                case [example_id, "inputs" | "outputs" as key]:
                    given[example_id][key] = part.json()
                case name:
                    raise Refused(422, f"the stand-in takes no {'.'.join(name)}")
        as_of = self._put(dataset, given, is_new=is_new)
        told = {"example_ids": list(given), "count": len(given), "as_of": as_of.isoformat()}
        return Answer(told, 201 if is_new else 200)

    def _put(self, dataset: Dataset, given: Rows, *, is_new: bool) -> datetime:
        """Makes a version with new or changed examples. Returns its time."""
        known = {key for found in self.kept.values() for key in found.rows}
        if is_new and (twice := known & set(given)):
            raise Refused(409, f"Example already exists: {sorted(twice)}")
        if not is_new and (strange := set(given) - set(dataset.rows)):
            raise Refused(404, f"Example not found: {sorted(strange)}")
        now = self._now()
        rows = dict(dataset.rows)
        for key, fields in given.items():
            rows[key] = _changed(rows.get(key) or self._blank(dataset, key, now), fields, now)
        self._add(dataset, rows, now)
        return now

    def _blank(self, dataset: Dataset, key: str, now: datetime) -> dict[str, Any]:
        return {
            "id": key,
            "dataset_id": dataset.about["id"],
            "name": f"#{key[:4]}",
            "created_at": now.isoformat(),
            "inputs": {},
            "outputs": None,
            "metadata": {"dataset_split": ["base"]},
            "source_run_id": None,
        }

    def _add(self, dataset: Dataset, rows: Rows, now: datetime) -> None:
        dataset.versions.append(Version(now, rows))
        dataset.tag(LATEST, dataset.versions[-1])
        dataset.about["modified_at"] = now.isoformat()

    def _delete(self, example_ids: list[str]) -> Answer:
        for dataset in self.kept.values():
            left = {key: row for key, row in dataset.rows.items() if key not in example_ids}
            if len(left) < len(dataset.rows):
                self._add(dataset, left, self._now())
        return Answer({"count": len(example_ids)})

    def _example(self, example_id: str, as_of: str) -> dict[str, Any]:
        for dataset in self.kept.values():
            if dataset.has_held(example_id) and example_id in (rows := dataset.at(as_of).rows):
                return rows[example_id]
        raise Refused(404, "Example not found")

    def _examples(self, call: Call) -> Answer:
        query = call.query
        if query.get("filter"):
            raise Refused(422, "the stand-in does not read filters")
        ids = query.getall("id", [])
        if "dataset" in query:
            searched = [self._found(query["dataset"])]
        elif ids:
            searched = [found for found in self.kept.values() if any(map(found.has_held, ids))]
        else:
            raise Refused(422, "dataset or id must be given")
        wanted = orjson.loads(query.get("metadata", "{}"))
        splits = set(query.getall("splits", []))
        found = [
            row
            for dataset in searched
            if dataset.versions
            for row in dataset.at(query.get("as_of", LATEST)).rows.values()
            if (not ids or row["id"] in ids)
            and wanted.items() <= row["metadata"].items()
            and (not splits or splits & set(row["metadata"]["dataset_split"]))
        ]
        found.sort(key=lambda row: row["id"])
        found.sort(key=lambda row: str(row["modified_at"]), reverse=True)
        return Answer(found[call.window(100)])


def _changed(row: dict[str, Any], fields: dict[str, Any], now: datetime) -> dict[str, Any]:
    """An example with what was given. New metadata replace the old ones; the split stays among them."""
    told = {key: value for key, value in fields.items() if value is not None and key in row}
    split = fields.get("split")
    splits = [split] if isinstance(split, str) else split or row["metadata"]["dataset_split"]
    metadata = told.get("metadata", row["metadata"])
    return {
        **row,
        **told,
        "metadata": {**metadata, "dataset_split": splits},
        "modified_at": now.isoformat(),
    }


def _difference(old: Rows, new: Rows) -> dict[str, list[str]]:
    return {
        "examples_added": sorted(set(new) - set(old)),
        "examples_removed": sorted(set(old) - set(new)),
        "examples_modified": sorted(key for key in set(old) & set(new) if old[key] != new[key]),
    }
