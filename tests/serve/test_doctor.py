"""The doctor, on a machine that is well and on one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from serve import doctor
from serve.doctor import Finding, checkup, healthy, render
from tests.places import passing_folder
from tools.core.settings import Settings


@pytest.fixture
def new_home() -> Iterator[Path]:
    with passing_folder() as folder:
        yield folder


@pytest.fixture
def no_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the check that takes longest, which another test makes."""
    monkeypatch.setattr(doctor, "_kiwi", lambda: Finding("Kiwi", ok=True, detail="not looked at"))


def _settings(home: Path, **given: object) -> Settings:
    unset = {"database_url": None, "redis_url": None, "openai_api_key": None, "openai_base_url": None}
    return Settings.model_validate({"home": home, **unset, **given})


async def well(settings: Settings) -> dict[str, Finding]:
    """Returns what is found on a machine that is well."""
    findings = {finding.name: finding for finding in await checkup(settings)}
    broken = [finding for finding in findings.values() if finding.required and not finding.ok]
    assert not broken
    assert "1536 dimensions" in findings["embeddings"].detail
    return findings


@pytest.mark.usefixtures("no_dictionary")
async def test_a_new_home_is_well_and_nothing_is_left_running(new_home: Path, embedded: Settings) -> None:
    url = embedded.openai_base_url
    findings = await well(_settings(new_home, openai_api_key="given", openai_base_url=url))
    assert "vector 0." in findings["PostgreSQL + pgvector"].detail
    assert "Search 2." in findings["Redis + JSON + Search"].detail
    for part in ("postgres", "redis"):
        assert '"stopped"' in (new_home / "run" / f"{part}.state.json").read_text()


@pytest.mark.usefixtures("no_dictionary")
async def test_a_fallback_model_is_asked_too_and_the_service_runs_without_it(
    new_home: Path, embedded: Settings
) -> None:
    given = {
        "openai_api_key": "given",
        "openai_base_url": embedded.openai_base_url,
        "fallback_model": "second",
    }
    given["database_url"], given["redis_url"] = embedded.database_url, embedded.redis_url
    findings = await well(_settings(new_home, **given))
    assert findings["fallback model"].detail == "second answers"
    elsewhere = {"fallback_base_url": "http://127.0.0.1:9/v1", "fallback_api_key": "sk-secret"}
    found = (await well(_settings(new_home, **given, **elsewhere)))["fallback model"]
    assert (found.ok, found.required) == (False, False)
    assert found.detail.startswith("second: ") and found.remedy
    assert "sk-secret" not in f"{found}"


async def test_a_home_at_work_is_well_and_goes_on(embedded: Settings) -> None:
    """The stores by their URLs, the offline model as a part that others use."""
    findings = await well(embedded.model_copy(update={"openai_base_url": None}))
    assert findings["Kiwi"].ok
    assert "checkerboard-offline" in findings["chat model"].detail
    assert '"ready"' in (embedded.home / "run" / "model.state.json").read_text()


@pytest.mark.usefixtures("no_dictionary")
async def test_what_is_broken_is_a_finding_with_a_remedy(
    new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2-secret")
    settings = _settings(
        home,
        database_url=f"postgresql://me:s3cret@/db?host={home}",
        redis_url=f"unix://:s3cret@{home}/none.sock",
        openai_api_key=SecretStr("sk-secret"),
        openai_base_url="http://127.0.0.1:9/v1",
        langsmith_endpoint="http://127.0.0.1:9",
        hub_prompts="{purpose}-{language}",
    )
    findings = await checkup(settings)
    [prompts] = [finding for finding in findings if finding.name == "prompts"]
    # The bundled ones answer then, so the service runs.
    assert (prompts.ok, prompts.required) == (False, False)
    assert "LangSmith does not answer" in prompts.detail
    assert not healthy(findings)
    broken = {finding.name: finding for finding in findings if finding.required and not finding.ok}
    assert set(broken) == {"PostgreSQL + pgvector", "Redis + JSON + Search", "chat model", "embeddings"}
    assert all(finding.remedy for finding in broken.values())
    assert not list(home.iterdir())

    console = Console(width=200, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115, ASYNC230
    console.print(render(findings))
    shown = console.export_text()
    console.file.close()
    assert "DATABASE_URL" in shown
    assert "secret" not in shown
    assert "s3cret" not in shown


def test_an_optional_thing_that_is_missing_does_not_make_it_ill() -> None:
    findings = [
        Finding("Python", ok=True, detail="3.11"),
        Finding("port 8000", ok=False, detail="taken", required=False),
    ]
    assert healthy(findings)
    assert not healthy([*findings, Finding("disk", ok=False, detail="full")])
