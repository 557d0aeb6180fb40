"""The comparison as Markdown for a pull request.

What is special in Markdown or HTML in the texts of the runs is written as character references, within
`<code>`: no table, tag, link or mention can come of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from evals.report import format as fmt
from evals.report.compare import ChangedCase, Comparison, Row
from evals.runs.results import CaseResult
from tools.core.terminal import plain

LIMIT = 60_000
"""Bytes. Code hosts cut or refuse comments of more than 64 KiB."""
_TRUNCATED = "\n\n_The rest is in the HTML report._\n"
_TEXT = 240
"""Characters of a text of a run that are shown."""
_SETTINGS = 60
"""Settings that are shown."""
_SIGNIFICANT = ("better", "worse", "changed")
_PLAIN = re.compile(r"[^\w ,;()%+/?=-]|_", re.ASCII)


def markdown(comparison: Comparison, limit: int = LIMIT) -> str:
    """Returns the comparison in at most `limit` bytes: the table of metrics, and what else has room, the
    most telling first."""
    text = ""
    room = limit - len(_TRUNCATED.encode())
    for block in _blocks(comparison):
        if len(text.encode()) + len(block.encode()) > room:
            return text + _TRUNCATED
        text += block
    return text


def literal(text: str, longest: int = _TEXT) -> str:
    """Returns a text of a run as what it is, cut to `longest` characters."""
    shown = " ".join(plain(text).split())
    shown = f"{shown[:longest]}…" if len(shown) > longest else shown
    return f"<code>{_PLAIN.sub(_reference, shown)}</code>" if shown else fmt.NO_FIGURE


def _reference(match: re.Match[str]) -> str:
    # Korean and other letters cannot be Markdown; what is not ASCII stays as it is.
    return f"&#{ord(match[0])};" if match[0].isascii() else match[0]


def _blocks(comparison: Comparison) -> Iterator[str]:
    a, b = comparison.a.header, comparison.b.header
    yield f"## Evals: {literal(a.name)} → {literal(b.name)}\n\n"
    yield f"Suite {literal(b.suite)}, {len(comparison.common)} cases. {fmt.tally(comparison)}\n\n"
    if answered := fmt.sides(comparison):
        yield f"{literal(answered)}\n\n"
    yield from (f"> ⚠️ {literal(warning, 2 * _TEXT)}\n>\n" for warning in comparison.warnings)
    yield "\n| Metric | A | B | B − A | 95 % interval | |\n|---|--:|--:|--:|---|---|\n"
    yield from map(_row, comparison.rows)
    yield "\n"
    if comparison.broken:
        yield f"▼ In an error now: {', '.join(literal(case) for case in comparison.broken[:20])}\n\n"
    yield from _settings(comparison)
    yield from _families(comparison)
    for case in comparison.changed:
        yield _case(case)


def _row(row: Row) -> str:
    unit = fmt.unit_of(row)
    guarded = " 🛡" if row.guarded else ""
    named = literal(row.key) + ("" if unit == fmt.SHARE else f" {literal(unit)}")
    verdict = f"**{fmt.finding(row)}**" if row.verdict in _SIGNIFICANT else fmt.finding(row)
    return f"| {named}{guarded} | {' | '.join([*fmt.means(row), fmt.interval(row), verdict])} |\n"


def _details(title: str, lines: Iterable[str]) -> str:
    return f"<details><summary>{title}</summary>\n\n{''.join(lines)}\n</details>\n\n"


def _settings(comparison: Comparison) -> Iterator[str]:
    rows = [
        f"| {literal(one.name)} | {literal(fmt.setting(one.a))} | {literal(fmt.setting(one.b))} |\n"
        for one in comparison.settings[:_SETTINGS]
    ]
    if rows:
        title = f"What was different: {len(comparison.settings)} settings"
        yield _details(title, ["| Setting | A | B |\n|---|---|---|\n", *rows])


def _families(comparison: Comparison) -> Iterator[str]:
    """Only what is beyond chance: the whole table is in the HTML report."""
    lines = [
        f"| {literal(family)} | {literal(row.key)} | {fmt.means(row)[2]} | {fmt.finding(row)} |\n"
        for family, rows in comparison.families.items()
        for row in rows
        if row.difference is not None and row.verdict in _SIGNIFICANT
    ]
    if lines and len(comparison.families) > 1:
        head = "| Job family | Metric | B − A | |\n|---|---|--:|---|\n"
        yield _details(f"By job family: {len(lines)} beyond chance", [head, *lines])


def _case(case: ChangedCase) -> str:
    changes = [
        f"| {literal(one.key)} | {fmt.figure(one.a, one.unit)} | {fmt.figure(one.b, one.unit)} |\n"
        for one in case.changes
    ]
    rows = [f"| {name} | {of_a} | {of_b} |\n" for name, of_a, of_b in _beside(case.a, case.b)]
    title = f"{fmt.mark(case.direction)} {literal(case.case_id)} {literal(fmt.desired_job(case.b), 80)}"
    return _details(title, ["| | A | B |\n|---|---|---|\n", *changes, *rows])


def _beside(a: CaseResult, b: CaseResult) -> Iterator[tuple[str, str, str]]:
    sides = _parts(a), _parts(b)
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        of_a, of_b = ("<br>".join(map(literal, side.get(name, ()))) or fmt.NO_FIGURE for side in sides)
        if (of_a, of_b) != (fmt.NO_FIGURE, fmt.NO_FIGURE):
            yield name, of_a, of_b


def _parts(case: CaseResult) -> dict[str, Sequence[str]]:
    """The first answer, by part."""
    error = fmt.error_of(case.outputs)
    parts: dict[str, Sequence[str]] = {"Error": [error] if error else []}
    answers = fmt.answers_of(case.outputs)
    if not answers:
        return parts
    answer = answers[0]
    kept = [posting for posting in answer.postings if posting.kept]
    return parts | {
        "Title": [answer.project.title],
        "Description": [answer.project.description],
        "Subjects": [subject.title for subject in answer.candidates],
        "Steps": [f"{step.title}: {', '.join(t.title for t in step.tasks)}" for step in answer.project.steps],
        "Evidence": [f"{one.posting_id} “{one.quote}”" for one in answer.project.evidence],
        "Kept postings": [f"{len(kept)} of {len(answer.postings)}", *(one.job_title for one in kept[:5])],
    }
