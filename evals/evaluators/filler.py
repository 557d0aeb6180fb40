"""Words that stand in for work: task titles, descriptions and deliverables that any project could have.

The patterns match a whole text, not a part of it: "테스트" is filler, "같은 키로 100번 보내는 동시 요청
테스트" is not.
"""

from __future__ import annotations

import re

from evals.evaluators.reading import folded

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
