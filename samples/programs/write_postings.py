"""Writes `samples/postings.jsonl` and `samples/truth.jsonl` from the phrase banks under `bank/`.

The postings are written samples: every company is fictional, every line was written for this project
and none was taken from a real posting. Nothing here is random; the same banks give the same bytes:

    python -m samples.programs.write_postings

A posting is put together from four kinds of lines: the position's own (`bank/companies/`), its industry's
(`bank/industries/`), its craft's and its stack's (`bank/families/`). The lines used least so far come first,
ties are broken by a hash, and a line too much like one already taken is passed over. The words under `avoid`
keep lines away from where they make no sense, such as kickboards from a company that builds trucks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from samples.programs.phrases import Bank, Picker, Sheet, names_any, number_of

HERE = Path(__file__).resolve().parents[1]
SOURCE = "samples"

ONE_TEMPORARY_IN = 24


@dataclass(frozen=True)
class Written:
    """A posting, with the keys of `tools.postings.contracts.Posting`, and the truth about it."""

    posting: Sheet
    family: str
    near_duplicate_of: str | None = None
    hostile: bool = False

    def truth(self, bank: Bank) -> dict[str, object]:
        """The line of `truth.jsonl`."""
        return {
            "source_id": self.posting["source_id"],
            "family": self.family,
            "industry": bank.industry_of(self.posting["company"]),
            "near_duplicate_of": self.near_duplicate_of,
            "hostile": self.hostile,
        }


@dataclass(frozen=True)
class Position:
    """One row of a company's Korean positions: `family | stack | level | title | own line | …`."""

    family: str
    stack: str
    level: str
    title: str
    own: tuple[str, ...]
    company: str
    location: str
    industry: str
    avoid: tuple[str, ...]

    @property
    def seed(self) -> str:
        return f"{self.company}/{self.title}"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|")]


def _contract(seed: str, experience: str) -> str:
    if experience == "인턴":
        return "인턴"
    return "정규직" if number_of(seed + "#contract") % ONE_TEMPORARY_IN else "계약직"


def _posting(number: int, company: str, title: str, lines: list[list[str]], **rest: object) -> Sheet:
    """A posting in the order of its keys. `lines`: responsibilities, requirements, preferred."""
    kinds = ("responsibilities", "requirements", "preferred")
    texts = {kind: "\n".join(items) for kind, items in zip(kinds, lines, strict=True)}
    head = {"source": SOURCE, "source_id": f"s-{number:03d}", "company": company, "job_title": title}
    # No deadline: the samples would go out of date, and retrieval passes over what is closed.
    return {**head, **texts, "deadline": None, **rest}


class Korean:
    """Writes the Korean postings of `bank/companies/`."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._picker = Picker()

    def positions(self) -> Iterator[Position]:
        """All rows of all companies, in the order of the files."""
        for sheet in self._bank.companies_writing("ko"):
            for company in sheet["companies"]:
                for row in company["positions"]:
                    family, stack, level, title, *own = _cells(row)
                    yield Position(
                        family=family,
                        stack=stack,
                        level=level,
                        title=title,
                        own=tuple(own),
                        company=company["name"],
                        location=company["location"],
                        industry=sheet["industry"],
                        avoid=tuple(company.get("avoid", ())),
                    )

    def write(self, position: Position, number: int) -> Written:
        """One posting with its lines chosen."""
        stack = self._bank.families[position.family]["stacks"][position.stack]
        experience, career = self._career(position)
        responsibilities = self._responsibilities(position)
        requirements = self._requirements(position, career)
        lines = [responsibilities, requirements, self._preferred(position, requirements)]
        text = "\n".join([position.title, *(line for kind in lines for line in kind)])
        posting = _posting(
            number,
            position.company,
            position.title,
            lines,
            location=position.location,
            employment_type=_contract(position.seed, experience),
            experience="신입/경력" if "신입/경력" in position.title else experience,
            skills=self._bank.skills(stack["skills"], text),
        )
        return Written(posting, position.family)

    def _career(self, position: Position) -> tuple[str, str]:
        """How much experience is asked for, as a label and as a requirement."""
        rows = [row.split(" | ") for row in self._bank.families[position.family]["career"][position.level]]
        intern = [row for row in rows if (row[0] == "인턴") == ("인턴" in position.title)] or rows
        label, line = intern[number_of(position.seed + "#career") % len(intern)]
        return label, line

    def _lines(self, position: Position, kind: str, *, craft: bool) -> list[str]:
        """The lines of one kind that make sense here: the craft's own, or else the industry's."""
        family = self._bank.families[position.family]
        stack = family["stacks"][position.stack]
        industry = self._bank.industries[position.industry]
        avoid = [*stack.get("avoid", ()), *industry.get("avoid", ()), *position.avoid]
        if craft:
            lines = family["common"][kind]
        else:
            lines = [line for role in family["role"] for line in industry.get(role, {}).get(kind, [])]
        return [line for line in lines if not names_any(line, avoid)]

    def _stack(self, position: Position, kind: str) -> list[str]:
        stack = self._bank.families[position.family]["stacks"][position.stack]
        return [line for line in stack.get(kind, []) if not names_any(line, position.avoid)]

    def _responsibilities(self, position: Position) -> list[str]:
        seed = position.seed + "#responsibilities"
        extra = number_of(seed)
        lines = list(position.own)
        if position.level == "senior":
            senior = self._bank.families[position.family]["senior"]["responsibilities"]
            self._picker.take(senior, 1, seed, lines)
        domain = self._lines(position, "responsibilities", craft=False)
        self._picker.take(domain, 1 + extra % 2, seed, lines)
        self._picker.take(self._stack(position, "responsibilities"), extra // 2 % 2, seed, lines)
        wanted = 3 if position.level == "new" else 4 + extra // 4 % 3
        craft = self._lines(position, "responsibilities", craft=True)
        self._picker.take(craft, wanted - len(lines), seed, lines)
        return lines

    def _requirements(self, position: Position, career: str) -> list[str]:
        seed = position.seed + "#requirements"
        extra = number_of(seed)
        family = self._bank.families[position.family]
        lines = [career]
        self._picker.take(self._stack(position, "requirements"), 1 + extra % 2, seed, lines)
        if position.level == "new":
            self._picker.take(family["new"]["requirements"], 2, seed, lines)
            return lines
        if position.level == "senior":
            self._picker.take(family["senior"]["requirements"], 1, seed, lines)
        domain = self._lines(position, "requirements", craft=False)
        self._picker.take(domain, 1 if extra // 2 % 3 else 0, seed, lines)
        wanted = 4 + extra // 6 % 3
        self._picker.take(self._lines(position, "requirements", craft=True), wanted - len(lines), seed, lines)
        return lines

    def _preferred(self, position: Position, requirements: list[str]) -> list[str]:
        seed = position.seed + "#preferred"
        extra = number_of(seed)
        lines = list(requirements)  # what is required is not preferred once more
        if position.level == "new":
            self._picker.take(self._bank.newcomers["preferred"], 2, seed, lines)
        else:
            wanted = len(lines) + 3 + extra // 4 % 3
            self._picker.take(self._lines(position, "preferred", craft=False), 1, seed, lines)
            self._picker.take(self._stack(position, "preferred"), extra % 2, seed, lines)
            craft = self._lines(position, "preferred", craft=True)
            self._picker.take(craft, wanted - len(lines), seed, lines)
        return lines[len(requirements) :]


def _english(bank: Bank, first: int) -> Iterator[Written]:
    """The postings of the companies that write in English."""
    picker = Picker()
    sheets = bank.companies_writing("en")
    rows = [
        (company, row) for sheet in sheets for company in sheet["companies"] for row in company["positions"]
    ]
    for number, (company, row) in enumerate(rows, first):
        seed = f"{company['name']}/{row['title']}"
        craft = bank.families[row["family"]]["english"]
        lines: list[list[str]] = [list(row["responsibilities"]), [row["requirement"]], []]
        picker.take(craft["responsibilities"], 2 + number_of(seed) % 2, seed, lines[0])
        picker.take(craft["requirements"], 3, seed, lines[1])
        picker.take(craft["preferred"], 2 + number_of(seed) % 2, seed, lines[2])
        years = row["requirement"].split()[0]
        rest = {
            "location": company["location"],
            "employment_type": "Full-time",
            "experience": "1+ year" if years == "1+" else f"{years} years",
            "skills": row["skills"],
        }
        yield Written(_posting(number, company["name"], row["title"], lines, **rest), row["family"])


def _tricky(bank: Bank, first: int) -> Iterator[Written]:
    """The postings that are hard to read or hostile, word for word from the bank."""
    for number, row in enumerate(bank.tricky, first):
        lines = [row["responsibilities"], row["requirements"], row["preferred"]]
        rest = {
            "location": row["location"],
            "employment_type": "정규직",
            "experience": row["experience"],
            "skills": row["skills"],
        }
        posting = _posting(number, row["company"], row["title"], lines, **rest)
        yield Written(posting, row["family"], hostile=row.get("hostile", False))


def _find(written: list[Written], company: str, title: str) -> Written:
    key = (company, title)
    return next(one for one in written if (one.posting["company"], one.posting["job_title"]) == key)


def _again(written: list[Written], title: str) -> Sheet:
    """What every further posting of a position changes."""
    return {"source_id": f"s-{len(written) + 1:03d}", "job_title": title}


def _overlap(written: list[Written], row: str) -> Written:
    """A second position of a company: another first line, most other lines shared."""
    company, base, title, own = _cells(row)
    like = _find(written, company, base)
    shared = like.posting["responsibilities"].split("\n")[1:]
    change = _again(written, title) | {"responsibilities": "\n".join([own, *shared])}
    return replace(like, posting=like.posting | change)


def _repost(bank: Bank, written: list[Written], row: str) -> Written:
    """The same position published again: another title, every other line reworded."""
    company, base, title = _cells(row)
    like = _find(written, company, base)

    def reword(line: str) -> str:
        for pattern, replacement in bank.reposts["rewording"]:
            if re.search(pattern, line):
                return re.sub(pattern, replacement, line)
        return line

    change = _again(written, title)
    for kind in ("responsibilities", "requirements"):
        lines = like.posting[kind].split("\n")
        lines[1::2] = map(reword, lines[1::2])
        change[kind] = "\n".join(lines)
    return replace(like, posting=like.posting | change, near_duplicate_of=like.posting["source_id"])


def postings(bank: Bank) -> list[Written]:
    """All sample postings with the truth about them, always in the same order."""
    korean = Korean(bank)
    written = [korean.write(position, number) for number, position in enumerate(korean.positions(), 1)]
    written += _english(bank, len(written) + 1)
    written += _tricky(bank, len(written) + 1)
    for row in bank.overlaps:
        written.append(_overlap(written, row))
    for row in bank.reposts["posts"]:
        written.append(_repost(bank, written, row))
    return written


def write(folder: Path = HERE) -> None:
    """Write `postings.jsonl` and `truth.jsonl` into the folder."""
    bank = Bank()
    written = postings(bank)
    files: dict[str, list[dict[str, object]]] = {
        "postings.jsonl": [one.posting for one in written],
        "truth.jsonl": [one.truth(bank) for one in written],
    }
    for name, rows in files.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
