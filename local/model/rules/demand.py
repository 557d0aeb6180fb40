"""What a summary says the market wants: the strength of a concept, a domain, a skill, with its ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.lexicon import KIND_OF, canonical

from .market import LABELLED, concepts_of
from .person import Person
from .text import is_order, read, read_list, rows

Row = Mapping[str, Any]

_SECTIONS = ("responsibilities", "qualifications", "preferred")
# Everybody's tools: asked often, but no project is done to show them.
_NO_GAP = frozenset(
    [
        "Git",
        "GitHub",
        "GitLab",
        "SVN",
        "Jira",
        "Confluence",
        "Slack",
        "Notion",
        "Agile",
        "HTTP",
        "Algorithms",
        "HTML",
        "CSS",
        "Excel",
        "PowerPoint",
        "Android",
        "iOS",
        "LLM",
        "Blockchain",
        "NLP",
        "Robotics",
        "Firmware",
        "RDBMS",
        "RTL",
        "Prototyping",
    ]
) | {
    "Data Structures",
    "Design Patterns",
    "Code Review",
    "Machine Learning",
    "Deep Learning",
    "Computer Vision",
}
# One of these is enough to do a job with; the market's other choices of the kind are no gap.
_ONE_OF = ("language", "database", "cloud")
_FRAMEWORKS = frozenset(
    [
        "Spring",
        "Spring-Boot",
        "Express",
        "NestJS",
        "Node.js",
        "Django",
        "FastAPI",
        "Flask",
        "Laravel",
        "ASP.NET",
        ".NET",
        "Rails",
        "React",
        "Vue.js",
        "Angular",
        "Svelte",
        "Flutter",
        "Unity",
        "eGovFrame",
        "Gin",
        "Ktor",
        "PyTorch",
        "TensorFlow",
        "Keras",
        "SwiftUI",
        "UIKit",
        "MyBatis",
        "JPA",
    ]
) | {"Spring Boot", "Ruby on Rails", "Unreal Engine", "React Native", "Jetpack Compose"}
_HEAVY = frozenset({"container", "iac", "message"})
_MANY = 6
"""From so many postings on, what a single one asks for is no gap."""
_MIN_ADVANCED_WEEKS = 4


# Who shows the one on the right has the one on the left, though the profile does not say so.
_SHOWN_BY: dict[str, frozenset[str]] = {
    "Linux": frozenset({"Docker", "Kubernetes", "Terraform", "Ansible"}),
    "REST API": frozenset({"Spring Boot", "Django", "FastAPI", "NestJS", "Express", "Node.js", "Flask"}),
    "Spring": frozenset({"Spring Boot"}),
    "Java": frozenset({"Spring Boot", "Spring"}),
    "JavaScript": frozenset({"React", "Vue.js", "TypeScript", "Next.js", "Angular", "Node.js"}),
    "Python": frozenset({"Django", "FastAPI", "pandas", "PyTorch", "TensorFlow"}),
    "Swift": frozenset({"SwiftUI", "UIKit"}),
    "CI/CD": frozenset({"Jenkins", "GitHub Actions", "GitLab CI", "Argo CD", "CircleCI"}),
    "Observability": frozenset({"Prometheus", "Grafana", "Datadog", "OpenTelemetry"}),
    "Statistics": frozenset({"R", "SPSS", "SAS"}),
}
_SHOWN_IN = {
    "Concurrency": re.compile(
        r"(?<![가-힣])(?:락|잠금)(?![가-힣]{2})|동시에|thread-safe|\block(?:s|ed|ing)?\b"
    ),
    "Statistics": re.compile(r"통계|가설\s*검정|statistic"),
    "Data Visualization": re.compile(r"대시보드|차트|dashboard|chart"),
    "Caching": re.compile(r"캐시|캐싱|redis|memcached|cache|caching"),
    "Query Tuning": re.compile(r"인덱스|실행\s*계획|쿼리\s*(?:최적|개선)|query plan|index"),
}
TOPICS = frozenset(
    ["Statistics", "Concurrency", "Data Structures", "Algorithms", "Design Patterns", "Distributed Systems"]
) | {
    "High-Traffic Systems",
    "Caching",
    "Query Tuning",
    "Event-Driven Architecture",
    "Microservices",
    "DDD",
    "TDD",
    "Clean Architecture",
    "MVVM",
    "Observability",
    "Causal Inference",
    "Time Series",
    "Anomaly Detection",
    "Cohort Analysis",
    "A/B Testing",
    "Data Modeling",
    "Data Governance",
    "Data Visualization",
    "Data Pipeline",
    "Data Warehouse",
    "Data Lake",
    "ETL",
    "Web Accessibility",
    "Web Standards",
    "Secure Coding",
    "Load Testing",
    "Unit Testing",
    "Multithreading",
    "Model Serving",
    "Model Compression",
    "MLOps",
    "Generative AI",
}
"""Fields and ways of working: one gets to know them, nothing is made with them."""


@dataclass(frozen=True)
class Line:
    """A line of the summary: its text, the postings that ask for it, what it is about."""

    text: str
    ids: tuple[str, ...]
    concepts: frozenset[str]


@dataclass(frozen=True)
class Gap:
    """A skill that `count` of the kept postings ask for and the profile does not show."""

    skill: str
    ids: tuple[str, ...]


class Demand:
    """A summary, indexed. `total` is the number of postings that were kept.

    `closest` says that none of them is for the desired job: they are only the nearest.
    """

    def __init__(self, summary: Sequence[Row], request: Row | None = None) -> None:
        first = summary[0] if summary else {}
        self.lines = [
            Line(text, tuple(read_list(row, "posting_ids")), frozenset(concepts_of(text)))
            for section in _SECTIONS
            for row in rows(first, section)
            if (text := read(row, "text")) and not is_order(text)
        ]
        # The name of a concept says nothing of what a posting is about.
        self._lower = ["" if line.text in LABELLED else line.text.lower() for line in self.lines]
        self.skills = {
            canonical(read(row, "text")): tuple(read_list(row, "posting_ids"))
            for row in rows(first, "skills")
            if read(row, "text") and not is_order(read(row, "text"))
        }
        everyone = [line.ids for line in self.lines] + list(self.skills.values())
        self.ids = tuple(dict.fromkeys(found for ids in everyone for found in ids))
        kept = (request or {}).get("kept_postings")
        counted = kept if isinstance(kept, int) and not isinstance(kept, bool) else 0
        self.total = max(len(self.ids), counted)
        self.closest = (request or {}).get("closest_only") is True

    def for_concepts(self, concepts: frozenset[str]) -> list[Line]:
        """Returns the lines about any of these concepts, the closest first, then the most asked."""
        return sorted(
            (line for line in self.lines if line.concepts & concepts), key=lambda line: -len(line.ids)
        )

    def for_words(self, named: re.Pattern[str]) -> list[Line]:
        """Returns the lines in which the pattern is found, names of concepts aside."""
        return [line for line, lower in zip(self.lines, self._lower, strict=True) if named.search(lower)]

    def gaps(self, person: Person, kinds: frozenset[str]) -> list[Gap]:
        """Returns the skills of these kinds worth closing for this person, the most asked first."""
        few = 2 if self.total >= _MANY else 1
        return [
            Gap(skill, ids)
            for skill, ids in self.skills.items()
            if KIND_OF.get(skill) in kinds
            and _is_gap(skill, person)
            and (len(ids) >= few or skill in person.asked)
        ]


def _is_gap(skill: str, person: Person) -> bool:
    if skill in person.has or skill in _NO_GAP or skill in person.feedback.unwanted_skills:
        return False
    if _SHOWN_BY.get(skill, frozenset()) & set(person.has):
        return False
    if skill in _SHOWN_IN and _SHOWN_IN[skill].search(person.text):
        return False
    kind = KIND_OF[skill]
    if kind in _HEAVY and skill != "Docker" and person.difficulty == "beginner":
        return False
    weeks = person.feedback.weeks
    if (
        kind in _HEAVY
        and weeks is not None
        and weeks <= _MIN_ADVANCED_WEEKS
        and person.difficulty != "advanced"
    ):
        return False
    if kind in _ONE_OF and skill != "SQL" and any(KIND_OF[known] == kind for known in person.has):
        return False
    return not (
        skill in _FRAMEWORKS and any(known in _FRAMEWORKS and KIND_OF[known] == kind for known in person.has)
    )


def all_ids(lines: Iterable[Line]) -> list[str]:
    """Returns the ids of all these lines, those of the first lines first."""
    return list(dict.fromkeys(found for line in lines for found in line.ids))
