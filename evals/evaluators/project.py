"""The project: tasks with something to show, in an order, that fit the weeks and the person; no filler."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evals.evaluators.base import (
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    failures,
    folded,
    known_skills,
    mean,
    mentioned_skills,
    task_text,
    tasks,
)
from evals.evaluators.similarity import morphemes, similarity

METRICS = {
    "deliverables": Metric("higher", "tasks with a specific deliverable", guarded=True),
    "steps_ordered": Metric("higher", "steps that stand on the ones before them", guarded=True),
    "tasks_fit_weeks": Metric("higher", "projects whose work fits their weeks", guarded=True, tolerance=0.03),
    "difficulty_fits": Metric("higher", "answers at a level the person can be at", tolerance=0.03),
    "no_filler": Metric("higher", "tasks that are not filler", guarded=True),
    "tasks_concrete": Metric("higher", "tasks that say what is made or measured", guarded=True),
    "tasks_distinct": Metric("higher", "tasks that repeat no other of their project", guarded=True),
}

_FEWEST_STEPS = 3
_A_WEEK = {"student": (0.75, 4.0), "job_seeker": (0.75, 4.0), "worker": (0.5, 3.0), None: (0.5, 4.0)}
"""Tasks a week by career stage, least and most: a task of the worked example in the prompts is two to three
days of a job seeker's."""
_LEVELS = ("beginner", "intermediate", "advanced")
_THIN = 3
"""Skills of somebody who begins; with one project at most and no job."""
_MUCH = 6
"""Skills of somebody who is beyond beginning; with two jobs."""
_LONG_ENOUGH = 15
"""Characters of a description that can say what is made and how."""
_WORDS_ENOUGH = 5
_REPEATED = 0.75
"""Similarity from which one task repeats another. Tasks of one project share its nouns, so it is higher than
that of subjects: the nearest different ones of the offline model come to .6."""

_OPENS = re.compile(
    r"환경 ?(?:설정|구성|준비)|요구 ?사항|기획|범위|시작하기|준비하기|기준 ?정하|set ?up|kick-?off|planning"
    r"|requirements|get(?:ting)? started|scope",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    r"포트폴리오|마무리|회고|발표|결과 ?정리|공개하기|portfolio|wrap[ -]?up|retrospective|presentation"
    r"|publish",
    re.IGNORECASE,
)
_FIGURE = re.compile(
    r"\d|한 번|두 |세 |네 |다섯|여섯|열 |절반|매일|\b(?:once|twice|two|three|four|five|six|ten|half)\b"
)


def concrete(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the tasks and steps of all projects.

    `deliverables`: share of tasks whose deliverable names a thing ("통과하는 통합 테스트", not "코드") and is
    not the task's title.
    `steps_ordered`: share of a project's steps that are in their place: the first is no closing one, a later
    one shares words with what earlier steps made, none that opens comes in the second half and none that
    closes before the last third; 0 for fewer than three steps.
    `tasks_fit_weeks`: 1 for a number of tasks a week that the career stage can do (`_A_WEEK`), falling to
    0 at half the least and at twice the most.
    `difficulty_fits`: share of the answers, of those for which no level was asked, at the only defensible
    level (`expect.difficulty`); where the case names none, not advanced for somebody with nothing to
    show yet and not beginner for somebody with two jobs and six skills; None for the others.
    `no_filler`: share of tasks whose title and description are no filler (`is_filler`).
    `tasks_concrete`: share of tasks whose description says what is made or measured: fifteen characters, and
    a figure, a technology or five different content words.
    `tasks_distinct`: share of tasks that repeat none before them in the project, by text.

    Cannot see whether the work is right, whether a deliverable follows from its task, nor how hard a task is.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(METRICS)
    projects = [answer["project"] for answer in listed]
    every = [task for project in projects for task in tasks(project)]
    stage = (inputs.get("profile") or {}).get("career_stage")
    none = "no tasks"
    checks: dict[str, list[Check]] = {"deliverables": [], "no_filler": [], "tasks_concrete": []}
    for task in every:
        title, text, deliverable = (folded(task[part]) for part in ("title", "description", "deliverable"))
        says = _FIGURE.search(text) or mentioned_skills(text) or len(morphemes(text)) >= _WORDS_ENOUGH
        shows = names_a_thing(deliverable) and deliverable != title
        checks["deliverables"].append((shows, task["deliverable"]))
        checks["no_filler"].append((not (is_filler(title) or is_filler(text)), task["title"]))
        checks["tasks_concrete"].append((len(text) >= _LONG_ENOUGH and bool(says), task["description"]))
    return [
        mean("deliverables", checks["deliverables"], none=none),
        mean("steps_ordered", [_ordered(project) for project in projects], none="no answer"),
        mean("tasks_fit_weeks", [_fits_weeks(project, stage) for project in projects], none="no answer"),
        mean(
            "difficulty_fits",
            _levels(inputs, outputs, reference_outputs),
            none="more than one level is defensible, or one was asked for",
        ),
        mean("no_filler", checks["no_filler"], none=none),
        mean("tasks_concrete", checks["tasks_concrete"], none=none),
        mean("tasks_distinct", (check for project in projects for check in _distinct(project)), none=none),
    ]


def _ordered(project: Json) -> tuple[float, str]:
    steps = project["steps"]
    if len(steps) < _FEWEST_STEPS:
        return 0.0, f"{project['title']}: {len(steps)} steps"
    made: set[str] = set()
    wrong = []
    for number, step in enumerate(steps):
        words = {word for task in step["tasks"] for word in morphemes(task_text(task))}
        place = number / (len(steps) - 1)
        misplaced = (_OPENS.search(step["title"]) and place > 1 / 2) or (
            _CLOSES.search(step["title"]) and place < 2 / 3
        )
        if misplaced or (number and not words & made):
            wrong.append(step["title"])
        made |= words
    return 1 - len(wrong) / len(steps), f"{project['title']}: {failures(wrong)}"


def _fits_weeks(project: Json, stage: str | None) -> tuple[float, str]:
    least, most = _A_WEEK.get(stage, _A_WEEK[None])
    number, weeks = len(tasks(project)), max(1, project["duration_weeks"])
    rate = number / weeks
    share = min(1.0, 2 - rate / most) if rate > least else min(1.0, 2 * rate / least - 1)
    return max(0.0, share), f"{project['title']}: {number} tasks in {weeks} weeks"


def _levels(inputs: Json, outputs: Json, reference: Json) -> Iterator[Check]:
    allowed = _defensible(inputs, reference)
    wishes = [{}, *(turn["wishes"] for turn in outputs.get("turns") or [] if not turn["error"])]
    if allowed != set(_LEVELS):
        for answer, wished in zip(answers(outputs), wishes, strict=False):
            level = answer["project"]["difficulty"]
            # Feedback may ask for a level in words.
            if not (wished.get("difficulty") or wished.get("feedback")):
                yield level in allowed, f"{level}, not {' or '.join(sorted(allowed))}"


def _defensible(inputs: Json, reference: Json) -> set[str]:
    if reference.get("difficulty"):
        return {reference["difficulty"]}
    profile = inputs.get("profile") or {}
    jobs, past = len(profile.get("experiences") or []), len(profile.get("projects") or [])
    known = len(known_skills(inputs, reference))
    if not jobs and past <= 1 and known <= _THIN:
        return {"beginner", "intermediate"}
    return {"intermediate", "advanced"} if jobs > 1 and known >= _MUCH else set(_LEVELS)


def _distinct(project: Json) -> Iterator[Check]:
    listed = tasks(project)
    for number, task in enumerate(listed):
        again = any(
            folded(task["title"]) == folded(other["title"]) or similarity(task, other) >= _REPEATED
            for other in listed[:number]
        )
        yield not again, task["title"]


# Filler: texts that any project could have. The patterns match a whole text, not a part of it: "테스트" is
# filler, "같은 키로 100번 보내는 동시 요청 테스트" is not.
_SHORTEST_DELIVERABLE = 3
"""Characters of a deliverable that can name something."""


def _one_of(words: str) -> str:
    """A pattern for one of several words; `_` in a word is a space that may be left out."""
    return "(?:" + "|".join(re.escape(word).replace("_", " ?") for word in words.split()) + ")"


_KO_WHAT = _one_of(
    """
    관련 필요한 필요 기본 핵심 주요 전체 최신 해당 기초 사용할 사용 개발 프로젝트 웹 앱 서비스 시스템
    데이터
    """
)
_KO_OBJECT = _one_of(
    """
    기술 기술_스택 자료 시장 도구 라이브러리 프레임워크 개념 이론 문서 사례 요구_사항 주제 코드 프로그램
    기능 서비스 시스템 서버 화면 페이지 앱 웹 API UI UX UI/UX 백엔드 프론트엔드 프런트엔드 데이터베이스
    DB 데이터 모델 환경 아키텍처 프로젝트 결과 결과물 버그 오류 보고서 발표
    """
)
_KO_DEED = _one_of(
    """
    조사 학습 공부 리서치 분석 파악 이해 작성 구현 개발 설계 구축 제작 준비 설정 구성 세팅 수정 개선
    정리 선정 기획 디자인 관리 수집 검토 확인 테스트 배포 발표 최적화
    """
)
_KO_END = (
    "(?:"
    + _one_of(
        "하기 한다 합니다 해_본다 하세요 를_진행한다 을_진행한다 _및_정리 _진행 _수행 _단계 를_한다 을_한다"
    )
    + ")?"
)
_KO_KIND = _one_of("단위 통합 기능 성능 최종 전체 시스템")
_KO_ALONE = _one_of(
    """
    테스트 시험 배포 구현 개발 설계 기획 조사 분석 준비 마무리 정리 회고 발표 문서화 리팩터링 리팩토링
    디버깅 최적화 유지_보수 버그_수정 학습 환경_설정 세팅 코딩
    """
)
_EN_BEFORE = (
    "(?:"
    + _one_of(
        """
    the a an your all some any related relevant required necessary needed basic core main key new final
    project web software initial overall simple
    """
    )
    + " )*"
)
_EN_OBJECT = _one_of(
    """
    technology technologies tech_stack tool tools topic topics market requirement requirements basics
    concept concepts library libraries framework frameworks documentation docs code feature features
    functionality function functions backend back-end frontend front-end app apps application system
    systems server servers service api database ui ux ui/ux model models data environment project bug
    bugs error errors issue issues result results report presentation solution architecture everything
    """
)
_EN_DEED = _one_of(
    """
    research study learn learn_about explore understand review investigate analyze analyse write writing
    implement implementing develop developing build building create creating code coding design
    designing plan planning prepare set_up setting_up configure deploy deploying test testing debug fix
    fixing improve improving optimize optimise refactor refactoring maintain document present finalize
    finalise finish complete gather collect
    """
)
_EN_NOUN = _one_of("research analysis design development implementation review set-up")
_EN_KIND = _one_of("unit integration functional final system project user")
_EN_ALONE = _one_of(
    """
    test tests testing deployment deploying planning design research documentation presentation
    retrospective wrap-up wrap_up set-up set_up implementation development coding debugging refactoring
    optimization optimisation maintenance bug_fix bug_fixes bug_fixing
    """
)
_FILLER = [
    rf"(?:{_KO_WHAT} ?)*{_KO_OBJECT}(?:을|를|에 ?대해|와|과)? ?{_KO_DEED}{_KO_END}",
    rf"(?:{_KO_WHAT} ?)?(?:{_KO_KIND} ?)?{_KO_ALONE}{_KO_END}",
    r"(?:열심히|최선을 ?다해|필요에 ?따라|적절히|알아서) ?.{0,20}",
    rf"{_EN_DEED} {_EN_BEFORE}{_EN_OBJECT}(?: and {_EN_OBJECT})?",
    rf"{_EN_BEFORE}{_EN_OBJECT} {_EN_NOUN}",
    rf"{_EN_BEFORE}(?:{_EN_KIND} )?{_EN_ALONE}",
    r"(?:do|try) (?:your|the) best.{0,20}|(?:work|improve) as needed|follow best practices",
]
_PATTERN = re.compile("|".join(f"(?:{pattern})" for pattern in _FILLER), re.IGNORECASE)
_EMPTY_DELIVERABLE = re.compile(
    rf"(?:{_one_of('완성된 완성 최종 작성된 동작하는 실행')} ?)?"
    rf"{_one_of('코드 문서 결과 결과물 산출물 보고서 프로그램 파일 소스_코드 없음 미정')}"
    rf"|(?:{_one_of('the a an some final finished working source')} )*"
    + _one_of(
        "code document documents docs result results output report deliverable file files program none tbd"
    ),
    re.IGNORECASE,
)
_MARKS = " .,!?:;·-—–*\"'“”‘’()[]"


def is_filler(text: str) -> bool:
    """Whether a title or a description says only what is done in any project."""
    return _PATTERN.fullmatch(folded(text).strip(_MARKS)) is not None


def names_a_thing(deliverable: str) -> bool:
    """Whether a deliverable names something that could be shown."""
    words = folded(deliverable).strip(_MARKS)
    return (
        len(words) >= _SHORTEST_DELIVERABLE
        and _EMPTY_DELIVERABLE.fullmatch(words) is None
        and not is_filler(words)
    )
