"""What Korean and English posters call the parts of a posting: heads of columns, labels of rows, headings."""

from __future__ import annotations

import re

from rapidfuzz.distance import Levenshtein

_COLUMNS = """
    모집부문 모집분야 모집직무 모집직종 채용직무 채용부문 채용분야 직무 직무명 직군 포지션 부문
    분야 구분 부서 소속 팀 담당업무 주요업무 업무내용 수행업무 직무내용 담당직무 업무 하는일
    자격요건 지원자격 응시자격 필수요건 필수자격 필수조건 자격조건 자격사항 지원요건 요구사항
    자격 지원조건 공통자격 공통사항 우대사항 우대조건 우대요건 우대 우대내용 선호사항 근무지
    근무지역 근무장소 근무처 위치 인원 모집인원 채용인원 경력 학력 전공 경력사항 고용형태
    근무형태 채용형태 계약형태 연봉 급여 처우 기술스택 사용기술 기술 비고 근무시간 근무요일
    수습기간 마감일 접수기간 전형 내용 일정 항목 position role title team
    department responsibilities duties requirements
    qualifications preferred nicetohave location
    employment experience salary type headcount skills
    techstack
""".split()  # noqa: SIM905
_SECTIONS = """
    근무조건 근무환경 처우조건 근로조건 복리후생 혜택및복지 전형절차 채용절차 전형일정 전형방법
    지원방법 접수방법 제출서류 유의사항 기타사항 참고사항 안내사항 기타 문의 문의처 회사소개
    기업소개 합류여정 채용정보 모집요강 모집개요 workingconditions
    hiringprocess notes benefits howtoapply process
    openpositions aboutus
""".split()  # noqa: SIM905
_BARE = re.compile(r"[^0-9a-z가-힣]")
_SHORTEST_WITH_ERROR = 4
"""Letters from which one misread letter is forgiven."""


def is_head(text: str) -> bool:
    """Whether a text is the head of a column or the label of a row."""
    return _among(text, _COLUMNS)


def is_section(text: str) -> bool:
    """Whether a text is the heading of a part of a poster that is no column of its table."""
    return _among(text, _SECTIONS)


def _among(text: str, names: list[str]) -> bool:
    bare = _BARE.sub("", text.lower()).lstrip("0123456789")
    if not bare or len(bare) > 24:  # noqa: PLR2004 - heads are short
        return False
    if bare in names:
        return True
    return len(bare) >= _SHORTEST_WITH_ERROR and any(
        abs(len(name) - len(bare)) <= 1 and Levenshtein.distance(bare, name, score_cutoff=1) <= 1
        for name in names
        if len(name) >= _SHORTEST_WITH_ERROR
    )
