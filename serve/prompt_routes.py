"""The active prompts: what they are, and, for administrators, how they change without a deploy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from serve.callers import admin_of
from serve.context import ContextDep
from serve.errors import responses
from serve.langserve_routes import StrictRoute
from serve.routes import KEYED, CallerDep
from tools.core.contracts import Language
from tools.core.settings import ModelChoice
from tools.prompts.audit_log import Change
from tools.services import Services

router = APIRouter(prefix="/prompts", tags=["prompts"], route_class=StrictRoute, dependencies=KEYED)
CHANGED = (401, 403, 408, 413, 415, 422, 500, 503)

AdminDep = Annotated[str, Depends(admin_of)]
Name = Annotated[str, Path(max_length=100, description="as `GET /prompts` names it: `filter_jobs.ko`")]
MAX_CHANGES = 200


class PromptInForce(BaseModel):
    """One prompt as this worker answers from it."""

    name: str
    purpose: str
    language: Language
    source: str = Field(description="`hub` or `bundled`")
    commit: str = Field(description="its commit in the hub, or a hash of the file")
    version: str = Field(
        description="as `versions` of an answer has it: `name:commit`, or a hash of the file"
    )
    pin: str | None = Field(description="the commit or tag it is held at; null: it follows a reload")
    since: str | None = Field(description="when it was changed last; null: it came with the service's code")
    by: str | None = Field(description="name of the key that did it; `start` for the service's own start")
    previous: str | None = Field(description="the commit that a pin to `previous` brings back")
    model: ModelChoice = Field(description="who answers it, with which parameters; null: the model's own")


class PromptsInForce(BaseModel):
    """What this worker answers from, and how it came to that."""

    version: str = Field(description="a hash of all prompts and models: workers with the same answer alike")
    warning: str | None = Field(description="why it is not what the settings ask for; null when it is")
    prompts: list[PromptInForce]
    changes: list[Change] = Field(description="the newest changes and refused attempts, newest first")


class Reload(BaseModel):
    """What a reload may bring besides the newest prompts."""

    model_config = ConfigDict(extra="forbid")

    models: dict[str, ModelChoice] | None = Field(
        None,
        description="model and parameters by purpose, instead of those that an earlier reload named; "
        "null leaves those, {} goes back to the settings",
    )


class Pin(BaseModel):
    """Where a prompt is to be held."""

    model_config = ConfigDict(extra="forbid")

    commit: str | None = Field(
        max_length=200,
        pattern=r"^[\w.-]+$",
        description="a commit or a tag of the hub; `previous` rolls back to what was active before, "
        "`bundled` holds at the file of the code, null lets it follow reloads again",
    )


@router.get("", responses=responses(401, 422, 500, 503))
async def list_prompts(
    context: ContextDep,
    _: CallerDep,
    changes: Annotated[int, Query(ge=0, le=MAX_CHANGES, description="how many changes to list")] = 20,
) -> PromptsInForce:
    """Which prompts and models are active: source, commit, since when, and by which key."""
    return await _shown(context.services, changes)


@router.post("/reload", responses=responses(*CHANGED))
async def reload_prompts(
    context: ContextDep, admin: AdminDep, wanted: Reload | None = None
) -> PromptsInForce:
    """Takes the newest commits on every worker, all or none. What is wrong is listed in the error's
    `details.prompts`, and the active prompts stay."""
    await context.services.prompt_changes.reload(admin, wanted.models if wanted else None)
    return await _shown(context.services, 1)


@router.post("/{name}/pin", responses=responses(404, *CHANGED))
async def pin_prompt(context: ContextDep, admin: AdminDep, name: Name, wanted: Pin) -> PromptsInForce:
    """Holds a prompt at a commit or tag, rolls it back, or lets it go, on every worker."""
    await context.services.prompt_changes.pin(name, wanted.commit, admin)
    return await _shown(context.services, 1)


async def _shown(services: Services, changes: int) -> PromptsInForce:
    registry = services.prompts
    entries = registry.active.prompts if registry.active else {}
    shown = []
    for key, prompt in registry.current.prompts.items():
        entry = entries.get(key)
        shown.append(
            PromptInForce(
                name=key,
                purpose=prompt.purpose,
                language=prompt.language,
                source=entry.origin.source if entry else "bundled",
                commit=prompt.commit,
                version=prompt.version,
                pin=entry and entry.pin,
                since=entry and entry.since.isoformat(),
                by=entry and entry.by,
                previous=entry.before.commit if entry and entry.before else None,
                model=services.chat.choice(prompt),
            )
        )
    return PromptsInForce(
        version=registry.current.version,
        warning=registry.own_warning or registry.shared_warning,
        prompts=shown,
        changes=list(await services.prompt_changes.audit_log.newest(changes)) if changes else [],
    )
