"""What a review found: variety, honest counts, domains that make sense, negation, language, quotes."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.model.rules import answer
from local.model.rules.crafts import CRAFTS, Angle, ideas_titled
from local.model.rules.market import Demand
from local.model.rules.person import read_feedback
from local.model.rules.text import lines
from tests.local.model.rules.test_rules_answers import (
    POSTINGS,
    posting,
    profile,
    project,
    request,
    subjects,
    summary,
    texts,
)
from tests.pace import scaled
from tools.lexicon import find_skills
from tools.lexicon.families import FAMILIES
from tools.lexicon.stems import stems

Row = dict[str, Any]

SAMPLES = Path(__file__).parents[4] / "samples" / "postings.jsonl"
CRAFTED = [
    "backend", "frontend", "fullstack", "mobile", "data_engineering", "data_analysis",
    "ai_ml", "devops", "security", "qa", "game", "embedded",
]  # fmt: skip


@cache
def samples() -> tuple[Row, ...]:
    rows = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    return tuple({"posting_id": row["source_id"], **row} for row in rows)


def of_job(*words: str) -> list[Row]:
    pattern = re.compile("|".join(words), re.I)
    return [row for row in samples() if pattern.search(row["job_title"])]


def angle(row: Row, language: str) -> Angle:
    found = ideas_titled(row["title"], iter(CRAFTS.values()), language)
    assert found is not None, row["title"]
    return found.angle


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("craft", CRAFTED)
def test_regeneration_changes_the_kind_of_project(craft: str, language: str) -> None:
    family = next(family for family in FAMILIES.values() if family.craft == craft)
    job = family.name[language]
    assert len(CRAFTS[craft].angles) >= 8
    rejected: list[Row] = []
    turns: list[list[Row]] = []
    for _ in range(5):
        turns.append(subjects(request(job, language), profile(job, skills=[]), rejected=rejected))
        rejected += [{"title": row["title"], "description": row["description"]} for row in turns[-1]]
    own = [angle(row, language) for turn in turns[:2] for row in turn]
    assert sum(found not in CRAFTS[craft].angles for found in own) <= 1
    for one in turns[0]:
        for other in turns[1]:
            words, others = stems(one["title"]), stems(other["title"])
            assert len(words & others) <= 0.4 * min(len(words), len(others)), (one["title"], other["title"])
    everything = [row["description"] for turn in turns for row in turn]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_five_turns_show_twenty_kinds_of_project(family: str) -> None:
    job = FAMILIES[family].name["ko"]
    rejected: list[Row] = []
    for _ in range(5):
        rejected += subjects(request(job), profile(job, skills=[]), rejected=rejected)
    assert len({angle(row, "ko") for row in rejected}) == 20
    assert not [row["title"] for row in rejected if " — " in row["title"]]


def test_a_refused_field_does_not_come_back_by_its_neighbours() -> None:
    rejected: list[Row] = []
    for _ in range(5):
        rejected += subjects(request(feedback="보안, 테스트 빼 주세요"), rejected=rejected)
    assert not {angle(row, "ko").craft for row in rejected} & {"security", "qa"}


def test_a_neighbouring_field_is_taken_up_with_ones_own_tools() -> None:
    rejected: list[Row] = []
    for _ in range(4):
        rejected += subjects(rejected=rejected)
    beyond = [row for row in rejected if angle(row, "ko").craft != "backend"]
    assert beyond
    for row in beyond:
        assert {"Java", "Spring Boot"} & set(row["skills"])
        assert set(CRAFTS[angle(row, "ko").craft].stack) & set(row["skills"][2:])


def test_an_angle_is_recognised_under_another_noun() -> None:
    shown = subjects()[0]
    reworded = re.sub("결제|주문|정산", "후원", shown["title"])
    again = subjects(rejected=[{"title": reworded, "description": ""}])
    assert angle(shown, "ko") not in {angle(row, "ko") for row in again}


@pytest.mark.parametrize("job", ["백엔드|서버", "프론트", "데이터", "AI|머신", "보안"])
def test_each_cited_posting_has_a_line_like_it(job: str) -> None:
    rows = of_job(job)[:40]
    fields = {
        "responsibilities": "responsibilities",
        "qualifications": "requirements",
        "preferred": "preferred",
    }
    own = {row["posting_id"]: row for row in rows}
    found = summary(rows)
    for section, field in fields.items():
        assert found[section]
        for line in found[section]:
            skills = set(find_skills(line["text"]))
            for posting_id in line["posting_ids"]:
                near = [
                    len(stems(line["text"]) & stems(text)) + bool(skills & set(find_skills(text)))
                    for text in lines(own[posting_id][field])
                ]
                assert max(near) >= 2 or line["text"] in own[posting_id][field]


@pytest.mark.parametrize(
    "wish",
    [
        {"introduction": "돈을 다루는 서버를 만들고 싶습니다"},
        {"desired_companies": ["핀테크 스타트업"]},
        {"projects": [{"title": "동네 게시판"}], "desired_companies": ["핀테크 스타트업"]},
    ],
)
def test_the_person_outweighs_the_market(wish: Row) -> None:
    market = [posting(n, responsibilities="- 상품 검색 API 설계와 운영\n- 검색 서버 개발") for n in range(9)]
    titles = [row["title"] for row in subjects(who=profile(**wish), postings=market)]
    assert re.search("결제|정산", titles[0])


def test_exactly_once_is_for_what_can_be_counted_once() -> None:
    once = next(angle for angle in CRAFTS["backend"].angles if angle.key == "once")
    keys = {domain.key for domain in once.domains()}
    assert {"payment", "settlement", "order"} <= keys
    assert not keys & {"search", "membership", "video", "recommend"}
    assert all(angle.domains() for craft in CRAFTS.values() for angle in craft.angles)


def test_the_kept_postings_are_the_total() -> None:
    assert Demand([summary(POSTINGS)], {"kept_postings": 17}, POSTINGS).total == 17
    assert Demand([summary(POSTINGS)], {"kept_postings": None}, POSTINGS).total == len(POSTINGS)
    assert "공고 17건 중" in "\n".join(texts(subjects(request(kept_postings=17))))


@pytest.mark.parametrize("language", ["ko", "en"])
def test_says_when_no_posting_was_for_the_job(language: str) -> None:
    said = "희망 직무의 공고가 없어 가장 가까운 공고" if language == "ko" else "No posting was for"
    asked = request(language=language, closest_only=True, kept_postings=5)
    row = subjects(asked)[0]
    plan = project(row, asked)
    assert said in row["description"]
    assert said in plan["summary"]
    assert "백엔드 개발 공고" not in plan["summary"]
    assert said not in subjects(request(language=language))[0]["description"]


@pytest.mark.parametrize(
    ("text", "unwanted", "wanted"),
    [
        ("Kafka는 빼 주세요", {"Kafka"}, set()),
        ("Kafka 빼주세요", {"Kafka"}, set()),
        ("Kafka를 쓰고 싶지 않아요", {"Kafka"}, set()),
        ("Kafka 제외", {"Kafka"}, set()),
        ("Kafka는 사용하지 말아 주세요", {"Kafka"}, set()),
        ("카프카는 쓰기 싫어요. Redis를 써 주세요", {"Kafka"}, {"Redis"}),
        ("Kafka 대신 RabbitMQ", {"Kafka"}, {"RabbitMQ"}),
        ("Kafka, Redis 빼고 해 주세요", {"Kafka", "Redis"}, set()),
        ("Kafka를 빼지 마세요", set(), {"Kafka"}),
        ("I don't want to use Kafka", {"Kafka"}, set()),
        ("Please do not use Kafka, use Redis", {"Kafka"}, {"Redis"}),
        ("without Kafka", {"Kafka"}, set()),
        ("not Kafka but RabbitMQ", {"Kafka"}, {"RabbitMQ"}),
        ("no Kafka, Redis or Docker", {"Kafka", "Redis", "Docker"}, set()),
        ("Kafka를 써 보고 싶어요", set(), {"Kafka"}),
        ("I want to use Kafka", set(), {"Kafka"}),
    ],
)
def test_tells_a_wish_from_a_refusal(text: str, unwanted: set[str], wanted: set[str]) -> None:
    found = read_feedback(text)
    assert set(found.unwanted_skills) == unwanted
    assert set(found.skills) == wanted
    if unwanted and text.isascii() is False:
        for row in subjects(request(feedback=text)):
            assert not unwanted & {*row["skills"], *(gap["skill"] for gap in row["skill_gaps"])}


@pytest.mark.parametrize(
    "words", ["동시 요청 100개에서 비관적 락으로 재고를 지킴", "락 경합을 줄임", "fixed a race condition"]
)
def test_a_gap_is_not_what_the_profile_shows(words: str) -> None:
    market = [posting(n, requirements="- 동시성 문제 해결 경험") for n in range(3)]
    who = profile(projects=[{"title": "쇼핑몰", "description": words}])
    gaps = {gap["skill"] for row in subjects(who=who, postings=market) for gap in row["skill_gaps"]}
    assert "Concurrency" not in gaps
    shown = [row for row in subjects(postings=market) if "Concurrency" in row["skills"]]
    assert shown
    assert not re.search(r"Concurrency(?:를|을) 직접 써", "\n".join(texts(shown)))


def test_deliverables_say_of_what_they_are() -> None:
    for craft in CRAFTS.values():
        stages = [craft.start, craft.core, craft.ops, craft.finish]
        stages += [stage for own in craft.angles for stage in (own.build, own.prove)]
        for task in (task for stage in stages for task in stage["en"].tasks):
            words = re.sub(r"^(?:the|an?|both)\s", "", task.deliverable, flags=re.I).split()
            assert len(words) > 1, task


@pytest.mark.parametrize("job", ["백엔드|서버", "프론트", "데이터", "게임", "QA|테스트"])
def test_an_english_summary_is_english(job: str) -> None:
    rows = of_job(job)[:40]
    found = answer("MarketSummary", {"request": [{"language": "en"}], "postings": rows})
    for section in ("responsibilities", "qualifications", "preferred"):
        assert found[section]
        assert not [line["text"] for line in found[section] if re.search("[가-힣]", line["text"])]


def test_quotes_tell_of_the_work() -> None:
    rows = [
        posting(
            n,
            responsibilities="백엔드 개발자\n결제 API 설계와 운영",
            requirements="백엔드 개발 경력 3년 이상\n컴퓨터 공학 학사 이상\n정보처리기사 자격증",
            preferred="Kafka 기반 이벤트 처리 경험",
        )
        for n in range(3)
    ]
    for row in subjects(postings=rows):
        for quote in project(row, postings=rows)["evidence"]:
            assert not re.search("년 이상|학사|자격증|^백엔드 개발자$", quote["quote"])


def test_quotes_speak_of_the_project() -> None:
    telling = {"결제 요청의 중복과 누락을 막는 서버 설계", "Kafka 기반 결제 이벤트 처리 경험"}
    rows = [
        posting(1, responsibilities="\n".join(telling), requirements="", preferred=""),
        posting(
            2,
            # 장애물 is no 장애.
            responsibilities="이동 로봇의 주행 제어와 장애물 회피 로직 개발",
            requirements="차분하고 꼼꼼한 성격",
            preferred="다양한 장르의 영화를 깊이 있게 즐긴 경험",
        ),
    ]
    subject = {
        "title": "결제 요청 중복과 누락을 막는 결제 서버 만들기",
        "description": "같은 결제 요청이 여러 번 와도 한 번만 처리한다.",
        "goal": "",
        "skills": ["Java", "Kafka"],
        "skill_gaps": [{"skill": "Kafka", "reason": ""}],
        "posting_ids": ["p-1", "p-2"],
    }
    assert {quote["quote"] for quote in project(subject, postings=rows)["evidence"]} == telling


def test_an_everyday_word_is_no_gap() -> None:
    english = [
        posting(
            n,
            job_title="Backend engineer",
            responsibilities="Build services that can go far\nReact quickly when things break",
            requirements="You can explain what you did and why\nJava and Spring Boot",
            preferred="An excellent eye for detail; you excel at writing",
        )
        for n in range(6)
    ]
    asked = request("backend engineer", "en")
    named = {line["text"] for line in summary(english)["skills"]}
    assert named == {"Java", "Spring Boot"}
    for row in subjects(asked, profile("backend engineer", skills=["Python"]), english):
        assert {gap["skill"] for gap in row["skill_gaps"]} <= named


def test_is_quick_over_many_postings() -> None:
    rows = of_job("백엔드|서버|프론트")[:60]
    summary(rows)
    began = time.perf_counter()
    found = summary(rows)
    asked: dict[str, list[Row]] = {"request": [request()], "profile": [profile()], "summary": [found]}
    answer("SubjectProposals", {**asked, "postings": rows})
    assert time.perf_counter() - began < scaled(0.5)
