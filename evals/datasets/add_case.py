"""Regressions become cases: a session or a trace as a line of a data set, without personal data."""

from __future__ import annotations

import asyncio
import re
import uuid
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from langsmith import Client
from langsmith.utils import LangSmithError, LangSmithNotFoundError
from pydantic import TypeAdapter, ValidationError

from evals.datasets.anonymize import anonymous
from evals.datasets.cases import Case, Expect, Family, Inputs, Turn
from graph.sessions.sessions import Sessions
from tools.core.errors import InvalidRequestError, SessionNotFoundError, SetupError
from tools.core.settings import Settings
from tools.core.tracing import settle_proxy
from tools.postings.contracts import Language, Profile

_TIMEOUT_MS = (5_000, 30_000)
"""Limits of one request to LangSmith: to connect, to answer."""


def case_of(source: Mapping[str, Any], label: str, families: Sequence[Family]) -> Case:
    """Returns the case of a session (`profile`, `language`, `wishes`): its profile without personal data,
    and what was asked of its last turn. `families`: that of the desired job first, then others whose
    postings fit too; none where it is no IT job. Call it in a thread: it computes.

    Raises:
        InvalidRequestError: what was said is of another shape than this version's.
    """
    try:
        language = TypeAdapter[Language](Language).validate_python(source["language"])
        wishes = source.get("wishes") or {}
        asked = Turn(**{key: wishes.get(key) or None for key in ("difficulty", "feedback")})
        profile, feedback = anonymous(
            Profile.model_validate(source["profile"]), language, asked.feedback or ""
        )
        asked = asked.model_copy(update={"feedback": feedback or None, "skills": wishes.get("skills") or []})
    except ValidationError as error:
        raise InvalidRequestError(
            f"No case can be made of it, its profile is of another version: {error}"
        ) from error
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower())[:60].strip("-") or "case"
    return Case(
        id=f"session-{slug}-{uuid.uuid4().hex[:6]}",
        inputs=Inputs(
            profile=profile,
            language=language,
            turns=[asked] if asked.difficulty or asked.skills or asked.feedback else [],
        ),
        expect=Expect(
            family=families[0] if families else None,
            fits=list(families),
            language=language,
            known_skills=profile.skills,
        ),
        tags=[re.sub(r"\W+", "_", label)[:50].strip("_") or "regression"],
        source="session",
    )


async def source_of(run_id: str, owner: str, sessions: Sessions, settings: Settings) -> Mapping[str, Any]:
    """Returns what a case is made of: the session `run_id` where there is one, or else LangSmith's trace.

    Raises:
        InvalidRequestError: there is neither, or the trace has no profile.
        SetupError: LangSmith does not answer.
        StoreUnavailableError: Redis does not answer.
    """
    try:
        return await sessions.view(run_id, owner)
    except SessionNotFoundError as error:
        if settings.langsmith_api_key is None:
            raise InvalidRequestError(
                f"There is no session {run_id} (they live {settings.session_ttl_minutes:g} minutes), and "
                "without LANGSMITH_API_KEY no trace can be read."
            ) from error
    return await asyncio.to_thread(_trace, run_id, settings)


def _trace(run_id: str, settings: Settings) -> Mapping[str, Any]:
    key = settings.langsmith_api_key
    assert key is not None  # noqa: S101 - `source_of` has looked
    client = Client(
        api_url=settings.langsmith_endpoint,
        api_key=key.get_secret_value(),
        auto_batch_tracing=False,
        timeout_ms=_TIMEOUT_MS,
    )
    settle_proxy(client)
    try:
        with warnings.catch_warnings():
            # The newer route wants the project as well, which the id of a run does not tell.
            warnings.simplefilter("ignore", DeprecationWarning)
            run = client.read_run(uuid.UUID(run_id))
    except (LangSmithNotFoundError, ValueError) as error:
        raise InvalidRequestError(f"There is neither a session nor a trace {run_id}.") from error
    except LangSmithError as error:
        raise SetupError(f"LangSmith did not give the trace: {error}") from error
    finally:
        client.close()
    for said in (run.outputs, run.inputs):
        if said and isinstance(said.get("profile"), dict):
            return {
                "profile": said["profile"],
                "language": said.get("language", "ko"),
                "wishes": said.get("turn") or {},
            }
    raise InvalidRequestError(
        f"The trace {run_id} has no profile: inputs are hidden from traces unless LANGSMITH_HIDE_INPUTS "
        "is set to false, or it is a part of a run. Name the whole run, or a session."
    )
