"""How the champion's run came about, and what that does to the chances beside a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.records import make_manifest

from llmgate.gate.decision.baseline_types import BaselineFacts
from llmgate.gate.decision.baseline_words import baseline_sentence
from llmgate.gate.evidence.baseline import baseline_facts, was_selected
from llmgate.record.manifest import ALONE, FOR_COMPARISON, FOR_PROMOTION, Manifest

CHAMPION = make_manifest(run_id="run-champion", created_at="2026-10-20T10:00:00+00:00")
CANDIDATE = make_manifest(run_id="run-candidate", created_at="2026-11-23T09:00:00+00:00")


@pytest.mark.parametrize(
    ("made_for", "how"),
    [
        ("what a newer version says", "unknown"),
        (FOR_COMPARISON, "stored"),
        (ALONE, "stored"),
        (FOR_PROMOTION, "selected"),
    ],
)
def test_what_a_run_was_made_for_tells_whether_it_was_chosen(made_for: str, how: str) -> None:
    champion = replace(CHAMPION, made_for=made_for)
    facts = baseline_facts(CANDIDATE, champion)
    assert facts is not None
    assert (facts.how, facts.answered_at, facts.age_days) == (how, CHAMPION.created_at, 33)
    assert was_selected(CANDIDATE, champion) is (how == "selected")


def test_of_older_records_nothing_is_said() -> None:
    """Their decisions stay the same to the byte."""
    assert baseline_facts(CANDIDATE, CHAMPION) is None
    assert not was_selected(CANDIDATE, CHAMPION)


def how(candidate: Manifest, champion: Manifest) -> str | None:
    facts = baseline_facts(candidate, champion)
    return None if facts is None else facts.how


def age(champion: Manifest) -> int | None:
    facts = baseline_facts(CANDIDATE, replace(champion, made_for=FOR_COMPARISON))
    assert facts is not None
    return facts.age_days


def test_only_the_run_that_was_asked_beside_it_is_fresh() -> None:
    champion = replace(CHAMPION, made_for=FOR_COMPARISON)
    assert how(replace(CANDIDATE, beside="run-champion"), champion) == "fresh"
    assert how(replace(CANDIDATE, beside="another"), champion) == "stored"


def test_times_that_cannot_be_read_have_no_age() -> None:
    assert age(replace(CHAMPION, created_at="yesterday")) is None
    naive = replace(CHAMPION, created_at="2026-11-22T08:00:00")
    assert age(naive) == 1
    later = replace(CHAMPION, created_at="2026-12-24T08:00:00Z")
    assert age(later) == 0


def test_the_words_say_how_old_and_how_chosen() -> None:
    facts = BaselineFacts(
        how="selected", answered_at="", age_days=34, fail_if_unchanged=0.0881, fail_if_fresh=0.0495, unlucky=None
    )
    assert baseline_sentence(facts) == (
        "the champion's answers are 34 days old and are the run that earned its promotion: an unchanged model fails "
        "8.8 % of the time instead of 5.0 %."
    )
    stored = replace(facts, how="stored", age_days=0, fail_if_unchanged=0.0495, unlucky=0.147)
    assert "are less than a day old, and were not chosen for being good" in baseline_sentence(stored)
    assert "14.7 % or more against one in ten" in baseline_sentence(stored)
    assert "does not say" in baseline_sentence(replace(facts, how="unknown", age_days=1))
    assert "1 day old" in baseline_sentence(replace(facts, how="unknown", age_days=1))
    assert "nobody chose" in baseline_sentence(replace(facts, how="fresh"))
    bare = BaselineFacts(how="selected", answered_at="")
    assert baseline_sentence(bare) == (
        "the champion's answers are of an unknown age and are the run that earned its promotion."
    )
