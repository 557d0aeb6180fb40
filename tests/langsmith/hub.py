"""The prompt hub: repositories of one workspace, their commits, and the tags that point to commits.

| topic | here |
|---|---|
| owner | `-` and the workspace's own handle; any other has no repositories |
| names | small letters, digits, `-` and `_`, beginning with a letter; else 422 |
| commit | 64 hex digits; found by `latest`, a tag, the hash or its first 8 digits and more |
| a commit that changes nothing | 409, as the real hub says it |
| an older parent, a new tag that exists | 409: the stricter reading of what is not documented |
| `include_model` | a prompt that was saved with a model comes without it unless this is `true` |
| a page of commits | 20 unless `limit` says more; at most 100 |
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tests.langsmith.server import Answer, Call, Refused

HANDLE = "standin"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SHORTEST_HASH = 8


@dataclass(slots=True)
class Commit:
    """A version of a prompt."""

    manifest: dict[str, Any]
    description: str | None
    parent: Commit | None
    created_at: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    commit_hash: str = ""

    def __post_init__(self) -> None:
        parent = self.parent.commit_hash if self.parent else ""
        seen = [parent, self.manifest, self.created_at.isoformat()]
        self.commit_hash = hashlib.sha256(orjson.dumps(seen)).hexdigest()


@dataclass(slots=True)
class Repo:
    """A prompt: its commits, oldest first, and its tags."""

    name: str
    tenant: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    readme: str = ""
    labels: list[str] = field(default_factory=list)
    is_public: bool = False
    is_archived: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, Commit] = field(default_factory=dict)

    def find(self, reference: str) -> Commit:
        """The commit that a hash, the beginning of one, a tag or `latest` names."""
        if reference == "latest" and self.commits:
            return self.commits[-1]
        if reference in self.tags:
            return self.tags[reference]
        for commit in self.commits:
            if len(reference) >= _SHORTEST_HASH and commit.commit_hash.startswith(reference):
                return commit
        raise Refused(404, "Commit not found", "error")

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "repo_handle": self.name,
            "description": self.description,
            "readme": self.readme,
            "id": self.id,
            "tenant_id": self.tenant,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "is_public": self.is_public,
            "is_archived": self.is_archived,
            "tags": self.labels,
            "owner": HANDLE,
            "full_name": f"{HANDLE}/{self.name}",
            "num_likes": 0,
            "num_downloads": 0,
            "num_views": 0,
            "num_commits": len(self.commits),
            "last_commit_hash": self.commits[-1].commit_hash if self.commits else None,
        }

    def commit_as_json(self, commit: Commit) -> dict[str, Any]:
        """A commit as the listing and the answer to a new one tell it."""
        return {
            "id": commit.id,
            "repo_id": self.id,
            "parent_id": commit.parent.id if commit.parent else None,
            "commit_hash": commit.commit_hash,
            "parent_commit_hash": commit.parent.commit_hash if commit.parent else None,
            "manifest": commit.manifest,
            "description": commit.description,
            "created_at": commit.created_at.isoformat(),
            "updated_at": commit.created_at.isoformat(),
            "example_run_ids": [],
            "num_downloads": 0,
            "num_views": 0,
        }

    def tag_as_json(self, name: str) -> dict[str, Any]:
        """A tag as its routes tell it."""
        commit = self.tags[name]
        return {
            "tag_name": name,
            "repo_id": self.id,
            "commit_id": commit.id,
            "commit_hash": commit.commit_hash,
        }


class Hub:
    """Answers under `/settings`, `/repos` and `/commits`. `now` never gives a time twice."""

    def __init__(self, tenant: str, now: Callable[[], datetime]) -> None:
        self.repos: dict[str, Repo] = {}
        self._tenant = tenant
        self._now = now
        self._began = now()

    def commit(
        self,
        name: str,
        manifest: dict[str, Any],
        *,
        tags: Iterable[str] = (),
        description: str | None = None,
    ) -> str:
        """Puts a commit into the prompt `name`, which is made if it is missing, and moves `tags` to it."""
        repo = self.repos.get(name) or self._new(name)
        commit = Commit(manifest, description, repo.commits[-1] if repo.commits else None, self._now())
        repo.commits.append(commit)
        repo.updated_at = commit.created_at
        repo.tags |= dict.fromkeys(tags, commit)
        return commit.commit_hash

    def answer(self, call: Call) -> Answer | None:
        """Answers a request; None: this is no path of the hub."""
        match call.method, call.parts:
            case "GET", ["settings"]:
                return Answer(
                    {
                        "id": self._tenant,
                        "display_name": "Stand-in",
                        "created_at": self._began.isoformat(),
                        "tenant_handle": HANDLE,
                    }
                )
            case "GET", ["repos"]:
                return self._listed(call)
            case "POST", ["repos"]:
                return self._create(call.json())
            case method, ["repos", owner, name]:
                return self._repo(method, self._find(owner, name), call)
            case method, ["repos", owner, name, "tags", *rest]:
                return self._tags(method, self._find(owner, name), rest, call)
            case "GET", ["commits", owner, name]:
                return self._history(self._find(owner, name, "error"), call)
            case "POST", ["commits", owner, name]:
                return self._push(self._find(owner, name, "error"), call.json())
            case "GET", ["commits", owner, name, reference]:
                commit = self._find(owner, name, "error").find(reference)
                bare = call.query.get("include_model") != "true"
                told: dict[str, Any] = {
                    "commit_hash": commit.commit_hash,
                    "manifest": _without_model(commit.manifest) if bare else commit.manifest,
                    "examples": [],
                    "description": commit.description,
                }
                return Answer(told)
        return None

    def _new(self, name: str, **fields: Any) -> Repo:
        now = self._now()
        self.repos[name] = Repo(name, self._tenant, now, now, **fields)
        return self.repos[name]

    def _find(self, owner: str, name: str, label: str = "detail") -> Repo:
        if owner not in ("-", HANDLE) or name not in self.repos:
            raise Refused(404, "Repository not found", label)
        return self.repos[name]

    def _create(self, asked: dict[str, Any]) -> Answer:
        name = asked["repo_handle"]
        if not _NAME.fullmatch(name):
            raise Refused(422, "repo_handle: small letters, digits, - and _")
        if name in self.repos:
            raise Refused(409, "Repo already exists")
        repo = self._new(
            name,
            description=asked.get("description", ""),
            readme=asked.get("readme", ""),
            labels=asked.get("tags", []),
            is_public=asked["is_public"],
        )
        return Answer({"repo": repo.as_json()})

    def _repo(self, method: str, repo: Repo, call: Call) -> Answer | None:
        match method:
            case "GET":
                return Answer({"repo": repo.as_json()})
            case "PATCH":
                asked = call.json()
                for key in ("description", "readme", "is_public", "is_archived"):
                    setattr(repo, key, asked.get(key, getattr(repo, key)))
                repo.labels = asked.get("tags", repo.labels)
                repo.updated_at = self._now()
                return Answer({"repo": repo.as_json()})
            case "DELETE":
                del self.repos[repo.name]
                return Answer({})
        return None

    def _tags(self, method: str, repo: Repo, rest: list[str], call: Call) -> Answer | None:
        if rest and rest[0] not in repo.tags:
            raise Refused(404, "Tag not found")
        match method, rest:
            case "GET", []:
                return Answer([repo.tag_as_json(name) for name in repo.tags])
            case "POST", []:
                name = call.json()["tag_name"]
                if name in repo.tags:
                    raise Refused(409, "Tag already exists")
            case "PATCH", [name]:
                pass
            case "GET", [name]:
                return Answer(repo.tag_as_json(name))
            case "DELETE", [name]:
                del repo.tags[name]
                return Answer({})
            case _:
                return None
        commit_id = call.json()["commit_id"]
        found = next((c for c in repo.commits if c.id == commit_id), None)
        if found is None:
            raise Refused(404, "Commit not found")
        repo.tags[name] = found
        return Answer(repo.tag_as_json(name))

    def _history(self, repo: Repo, call: Call) -> Answer:
        newest_first = [repo.commit_as_json(commit) for commit in reversed(repo.commits)]
        return Answer({"commits": newest_first[call.window(20)], "total": len(newest_first)})

    def _push(self, repo: Repo, asked: dict[str, Any]) -> Answer:
        manifest, parent = asked.get("manifest"), asked.get("parent_commit")
        if not isinstance(manifest, dict):
            raise Refused(422, "manifest: an object", "error")
        if parent is not None and repo.find(parent) is not repo.commits[-1]:
            raise Refused(409, "The parent is not the latest commit", "error")
        if repo.commits and repo.commits[-1].manifest == manifest:
            message = "Nothing to commit: prompt has not changed since latest commit"
            raise Refused(409, message, "error")
        self.commit(repo.name, manifest, description=asked.get("description"))
        return Answer({"commit": repo.commit_as_json(repo.commits[-1])})

    def _listed(self, call: Call) -> Answer:
        wanted, text = dict(call.query), call.query.get("query", "")
        found = [
            repo.as_json()
            for repo in self.repos.values()
            if text in repo.name
            and all(
                wanted.get(key) in (None, str(getattr(repo, key)).lower())
                for key in ("is_public", "is_archived")
            )
        ]
        found.sort(
            key=lambda row: row[wanted.get("sort_field", "updated_at")],
            reverse=wanted.get("sort_direction", "desc") == "desc",
        )
        return Answer({"repos": found[call.window(100)], "total": len(found)})


def _without_model(manifest: dict[str, Any]) -> dict[str, Any]:
    """The prompt of a prompt that is chained to a model."""
    first = manifest.get("kwargs", {}).get("first")
    is_chain = manifest.get("id", [])[-1:] == ["RunnableSequence"]
    return first if is_chain and isinstance(first, dict) else manifest
