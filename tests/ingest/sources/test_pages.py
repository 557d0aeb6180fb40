"""Which images are the pages of one posting."""

from __future__ import annotations

import pytest

from ingest.sources.folder import MOST_PAGES, pages_by_posting


@pytest.mark.parametrize(
    "pages",
    [
        ("a-1.webp", "a-2.webp"),
        ("a_1.png", "a_2.png", "a_3.png"),
        ("a-0.png", "a-1.png"),
        ("a-01.png", "a-02.png"),
        ("a-1.png", "a-2.jpg"),
        ("a.webp", "a (1).webp", "a (2).webp"),
        ("a.webp", "a-2.webp"),
        ("a (1).webp", "a (2).webp"),
        ("2024 상반기 공채-1.webp", "2024 상반기 공채-2.webp"),
        tuple(f"a-{n}.png" for n in range(1, MOST_PAGES + 1)),
    ],
)
def test_numbered_images_are_the_pages_of_one_posting_in_the_order_of_their_numbers(
    pages: tuple[str, ...],
) -> None:
    assert pages_by_posting(reversed(pages)) == [pages]


@pytest.mark.parametrize(
    "names",
    [
        ("a-2.webp", "a-7.webp"),
        ("a-1.webp", "a-3.webp"),
        ("2024.webp", "2025.webp"),
        ("a-2024.webp", "a-2025.webp"),
        ("a1.webp", "a2.webp"),
        ("a-1.webp",),
        ("a-1.webp", "b-2.webp"),
        ("a-1).webp", "a-2).webp"),
        ("a-1.webp", "a-01.webp"),
        tuple(f"a-{n:02}.png" for n in range(1, MOST_PAGES + 2)),
    ],
)
def test_other_images_are_a_posting_each(names: tuple[str, ...]) -> None:
    assert pages_by_posting(names) == sorted((name,) for name in names)


def test_the_pages_of_one_posting_in_two_formats_are_not_mixed() -> None:
    names = ["a-1.png", "a-1.webp", "a-2.png", "a-2.webp"]
    assert pages_by_posting(names) == [("a-1.png", "a-2.png"), ("a-1.webp", "a-2.webp")]


def test_postings_side_by_side_are_told_apart() -> None:
    names = ["a-1.webp", "a-2.webp", "b-1.webp", "b-2.webp", "c.webp"]
    assert pages_by_posting(names) == [("a-1.webp", "a-2.webp"), ("b-1.webp", "b-2.webp"), ("c.webp",)]


def test_ten_comes_after_nine() -> None:
    [pages] = pages_by_posting(f"a-{n}.webp" for n in range(1, 13))
    assert pages[8:10] == ("a-9.webp", "a-10.webp")
