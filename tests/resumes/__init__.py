"""Résumés as people paste them, one for each sample profile, in two languages; of nobody."""

from __future__ import annotations

from pathlib import Path

RESUMES = {
    path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.txt"))
}
"""By the sample profile's name and the language: `java-backend.ko`."""
PERSONAL = {
    "java-backend.ko": ("윤가람", "010-4821-7733", "garam", "월드컵북로", "2000.04.12"),
    "analyst-career-changer.ko": ("한도윤", "555-0199", "9921", "doyun"),
    "ai-student.ko": ("서지안", "jian.seo", "성남시", "판교역로"),
    "android-developer.en": ("Marlow", "Tane", "7946", "linkedin", "Harbour Road", "Whitfold", "dana@"),
    "devops-worker.en": ("Ines", "Corvane", "013-4477"),
    "frontend-student.en": ("Rowan", "Pellick", "uni.example", "2004"),
}
"""What tells who somebody is or how to reach them, of each."""
