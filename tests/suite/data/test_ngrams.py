"""Near-duplicates are those that exact counting finds, found without comparing all with all."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.suite.data.ngrams import GRAM, containment, grams, jaccard, near_groups, plain

WORDS = st.text("abcdefg ", min_size=1, max_size=40)


def exact(first: str, second: str) -> float:
    """The definition, without hashes."""
    one, other = ({t[i : i + GRAM] for i in range(max(1, len(t) - GRAM + 1))} for t in (first, second))
    return len(one & other) / len(one | other)


@given(WORDS, WORDS)
def test_jaccard_is_the_definition(first: str, second: str) -> None:
    assert jaccard(grams(first), grams(second)) == pytest.approx(exact(first, second))
    assert jaccard(grams(first), grams(first)) == 1


@given(WORDS, st.text("hijk", min_size=5, max_size=20))
def test_containment_is_how_much_of_one_stands_in_the_other(text: str, other: str) -> None:
    if len(text) >= GRAM:
        assert containment(grams(text), grams(other + text + other)) == 1
    assert containment(grams(other), grams(text)) == 0
    assert containment(np.zeros(0, dtype=np.uint64), grams(text)) == 0


@given(st.lists(st.text(max_size=30), max_size=12))
def test_groups_are_disjoint_and_in_order(texts: list[str]) -> None:
    groups = near_groups(texts)
    members = [index for group in groups for index in group]
    assert len(set(members)) == len(members)
    assert all(len(group) > 1 and list(group) == sorted(group) for group in groups)
    for one, other in combinations(range(len(texts)), 2):
        if texts[one] and texts[one] == texts[other]:
            assert any(one in group and other in group for group in groups)


def test_what_is_found_is_what_counting_finds() -> None:
    source = random.Random(7)
    words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(300)]
    texts = []
    for _ in range(50):
        base = source.choices(words, k=30)
        texts.append(" ".join(base))
        for changes in (1, 3, 8):
            other = list(base)
            for position in source.sample(range(30), changes):
                other[position] = source.choice(words)
            texts.append(" ".join(other))
    # Texts of different bases share next to nothing.
    pairs = [(4 * base + i, 4 * base + j) for base in range(50) for i, j in combinations(range(4), 2)]
    wanted = {(i, j) for i, j in pairs if exact(texts[i], texts[j]) >= 0.8}
    groups = near_groups(texts)
    group_of = {index: number for number, group in enumerate(groups) for index in group}
    found = {(i, j) for i, j in wanted if i in group_of and group_of[i] == group_of.get(j)}
    assert len(wanted) > 50
    assert len(found) >= 0.97 * len(wanted)
    for group in groups:
        assert all(any(exact(texts[i], texts[j]) >= 0.8 for j in group if i != j) for i in group)


@pytest.mark.cpu_seconds(60)
def test_ten_thousand_rows_take_seconds() -> None:
    source = random.Random(1)
    words = [f"w{source.randrange(10**6)}" for _ in range(5000)]
    texts = [" ".join(source.choices(words, k=20)) for _ in range(9_900)]
    texts += [text.replace(text.split()[3], "zz", 1) for text in texts[:100]]
    groups = near_groups(texts)
    assert sum((i, i + 9_900) in groups for i in range(100)) >= 97


@pytest.mark.cpu_seconds(60)
def test_one_template_for_all_rows_is_no_trap() -> None:
    head = "Classify this review, please, and answer with a single word: "
    texts = [head + f"{i * 7919 % 10_007:x} {i * 104_729 % 1_000_003:x}" for i in range(3000)]
    groups = near_groups(texts, near=0.95)
    assert all(len(group) < 100 for group in groups)


def test_plain_text_is_what_a_reader_sees() -> None:
    assert plain("  Ｆｕｌｌ \n WIDTH\u00a0Straße ") == "full width strasse"
    assert grams("\ud800abc").size == 1
    assert near_groups(["x" * 1_000_000, "x" * 999_999, "", ""]) == [(0, 1)]
