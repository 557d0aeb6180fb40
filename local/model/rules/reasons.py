"""Why a project: for this person, in this market."""

from __future__ import annotations

from collections.abc import Sequence

from tools.lexicon import canonical

from .crafts import Idea
from .demand import Demand, all_ids
from .korean import Word
from .person import Person
from .subjects import closest
from .text import shorten


def why(idea: Idea, person: Person, demand: Demand, gaps: list[str], skills: list[str]) -> str:
    """Returns why this project suits this person and this market, with the number of postings."""
    lines = demand.for_concepts(idea.angle.concepts)
    asking = len(all_ids(lines))
    gap = next((gap for gap in gaps if demand.skills.get(gap)), None)
    own = [skill for skill in skills if canonical(skill) in person.has][:3]
    if person.language == "en":
        return _why_en(idea, person, demand, asking=asking, gap=gap, own=own)
    name = person.wish.family.name["ko"]
    parts = []
    if demand.closest and demand.total:
        parts.append(closest(person, demand))
        name = "이"
    if asking and lines:
        parts.append(
            f"{name} 공고 {demand.total}건 중 {asking}건에서 "
            f"{Word(idea.angle.about['ko']):과} 이어지는 업무를 찾는다"
            f"(예: “{shorten(lines[0].text, 60)}”)."
        )
    elif demand.total:
        parts.append(
            f"{name} 공고 {demand.total}건이 함께 찾는 역량을 {Word(idea.angle.about['ko']):로} 보여 준다."
        )
    if own:
        listed = ", ".join(own)
        after = (
            f" ‘{person.past}’ 다음 단계로 삼기에 알맞고"
            if person.past
            else " 이미 다룰 줄 아는 것에서 시작하고"
        )
        parts.append(f"{Word(listed):은} 프로필에 있으니{after}, 처음부터 다시 배울 것이 적다.")
    if gap:
        parts.append(
            f"아직 드러나지 않은 {Word(gap):은} {len(demand.skills[gap])}건에서 요구하므로 "
            "따로 익히는 과제를 두었다."
        )
    parts.append("단계마다 남는 산출물과 측정값이 면접에서 그대로 근거가 된다.")
    return " ".join(parts)


def _why_en(
    idea: Idea, person: Person, demand: Demand, *, asking: int, gap: str | None, own: list[str]
) -> str:
    where = f" in {person.wish.family.name['en']}"
    parts = []
    if demand.closest and demand.total:
        parts.append(closest(person, demand))
        where = ""
    if asking:
        parts.append(
            f"Of {demand.total} postings{where}, {asking} speak of work close to {idea.angle.about['en']}."
        )
    elif demand.total:
        parts.append(
            f"It answers what {demand.total} postings{where} have in common, "
            f"by way of {idea.angle.about['en']}."
        )
    if own:
        parts.append(f"You already show {_listed(own)}, so the project starts from what you can do.")
    if gap:
        count = len(demand.skills[gap])
        asks = "posting asks" if count == 1 else "postings ask"
        parts.append(
            f"{gap} is not in your profile yet, while {count} {asks} for it; it has a task of its own."
        )
    parts.append("Every step leaves a result and a figure that you can put in front of an interviewer.")
    return " ".join(parts)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
