"""Files of postings, as tests write them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

ROW = {"source": "test", "source_id": "1", "company": "Co", "job_title": "백엔드 개발자"}
COLUMNS = ["source", "source_id", "job_title", "responsibilities", "skills", "deadline"]


def jsonl(path: Path, *rows: Any, encoding: str = "utf-8") -> Path:
    """A file with a line for each row; text is written as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def table(path: Path, *rows: dict[str, str], columns: list[str] = COLUMNS, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as text:
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(source_id: str, **fields: Any) -> dict[str, Any]:
    return {**ROW, "source_id": source_id, **fields}
