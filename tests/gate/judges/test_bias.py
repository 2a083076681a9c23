"""What a judge may be off by between two systems: on real judges and people, by hand, by simulation, and what gates."""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.shared_data import shared_rows

from llmgate.gate.judges.admission import refusals
from llmgate.gate.judges.agreement import measure_judge
from llmgate.gate.judges.bias import MOST_SYSTEMS, measure_bias
from llmgate.record.judges.admission import (
    AdmissionEvidence,
    AdmissionResults,
    AdmissionThresholds,
    CanaryTrial,
    LabelledItem,
)
from llmgate.stats.proportion import PairedCounts, tango
from llmgate.stats.special import ndtri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WORD = {0: "fail", 1: "pass"}
CAUGHT = (CanaryTrial(canary="empty", item="a", outcome="caught"),)
READERS = ("ance-plus_fid", "fid")
"""Two systems that answer in the same few words."""
SEVERAL = ("evigen", "instructgpt-fewshot64", "instructgpt-zeroshot")


def items_of(rows: Sequence[dict[str, object]], judge: Callable[[dict[str, object]], object]) -> list[LabelledItem]:
    """Rows of data/paired as labelled answers, judged by one of their columns."""
    return [
        LabelledItem(
            item=f"{row['item_id']} {row['system']}",
            votes=(WORD[int(str(row["score"]))],),
            said=None if (said := judge(row)) is None else WORD[int(str(said))],
            systems=(str(row["system"]),),
            case=str(row["item_id"]),
            lengths=(len(str(row["output"])),),
            styled=(False,),
        )
        for row in rows
    ]


def tried(items: Sequence[LabelledItem]) -> AdmissionResults:
    """As if it repeated itself and caught the canaries: what is left are agreement and bias."""
    again = tuple(replace(one, again=(one.said,)) if i % 20 == 0 else one for i, one in enumerate(items))
    return measure_judge(AdmissionEvidence(kind="answers", items=again, canaries=CAUGHT))


def plain(errors: Mapping[str, Sequence[int]], *, paired: bool = False) -> list[tuple[LabelledItem, str]]:
    """Answers by system with the judge's error on each: 1 for a wrong pass, −1 for a wrong fail, 0."""
    rated = []
    for system, found in errors.items():
        for i, error in enumerate(found):
            label = "fail" if error > 0 or (error == 0 and i % 2) else "pass"
            said = label if not error else "pass" if error > 0 else "fail"
            case = f"c{i}" if paired else None
            item = LabelledItem(item=f"{system}{i}", votes=(label,), said=said, systems=(system,), case=case)
            rated.append((item, label))
    return rated


def test_a_matcher_of_strings_agrees_with_people_and_is_refused() -> None:
    """κ 0.60 and a specificity of 97 %, and it turns four of ten comparisons of real systems around."""
    items = items_of(shared_rows("paired/evouna-nq.jsonl.gz"), lambda row: row["auto_contains"])
    bias = measure_bias([(item, str(item.votes[0])) for item in items], alpha=0.05)
    # κ of a part: all would take long to resample.
    results = replace(tried(items[::13]), bias=bias)
    assert results.kappa.lower is not None
    assert results.kappa.lower > 0.5
    assert results.specificity is not None
    assert results.specificity.estimate == pytest.approx(0.97, abs=0.02)
    assert bias.worst is not None
    assert bias.worst.systems == ("fid", "newbing")
    assert (bias.worst.people, bias.worst.judge) == pytest.approx((0.1100, -0.0437), abs=2e-3)
    assert bias.difference == pytest.approx(0.18, abs=0.005)
    for margin in (0.03, 0.05, 0.1, 0.15):
        reasons = refusals(results, AdmissionThresholds(margin=margin))
        assert any(
            "may be off by 18.0 points (fid → newbing: people +11.0, judge -4.4)" in reason for reason in reasons
        )
    assert any("it gives longer answers -7.4 points more" in reason for reason in refusals(results))


def test_which_judges_of_real_systems_may_decide_between_them() -> None:
    """GPT-4 between two readers of the same kind may at a margin of 5 points; over systems that answer in other ways no judge may."""
    rows = shared_rows("paired/openqa-nq301.jsonl")
    alike = [row for row in rows if row["system"] in READERS]
    found = {judge: tried(items_of(alike, itemgetter(judge))) for judge in JUDGES}
    assert {judge for judge, results in found.items() if not refusals(results)} == set(JUDGES)
    gpt4 = found["judge_gpt4"].bias
    assert gpt4 is not None
    assert gpt4.difference == pytest.approx(0.032, abs=0.002)
    assert refusals(found["judge_gpt4"], AdmissionThresholds(margin=0.03)) != ()
    several = [row for row in rows if row["system"] in SEVERAL]
    for judge, least in (("judge_gpt4", 0.11), ("judge_davinci003", 0.2), ("judge_bem", 0.17)):
        everyone = tried(items_of(several, itemgetter(judge)))
        assert everyone.bias is not None
        assert everyone.bias.difference is not None
        assert everyone.bias.difference > least
        assert any("may be off by" in reason for reason in refusals(everyone, AdmissionThresholds(margin=0.1)))


JUDGES = ("judge_gpt4", "judge_davinci003", "judge_bem")


@pytest.mark.parametrize(
    ("judge", "pair", "share"),
    [
        ("judge_gpt4omini", ("claude-opus-4-20250514", "gemini-2.5-flash"), 0.278),
        ("judge_gpt52", ("claude-opus-4-20250514", "qwen3-235b-a22b-no-thinking"), 0.399),
    ],
)
def test_judges_of_arena_votes_are_refused(judge: str, pair: tuple[str, str], share: float) -> None:
    rated = []
    for row in shared_rows("judge/arena-votes.jsonl"):
        words = {row["model_a"]: "1", row["model_b"]: "2", None: None}
        said, label = words[row[judge]], words[row["human_winner"]]
        assert label is not None
        item = LabelledItem(
            item=row["item_id"],
            votes=(label,),
            said=said,
            orders=(said, said),
            systems=(row["model_a"], row["model_b"]),
        )
        rated.append((item, label))
    bias = measure_bias(rated, alpha=0.05)
    assert bias.worst is not None
    assert bias.worst.systems == pair
    assert bias.rate == pytest.approx(share, abs=0.002)
    assert bias.difference == pytest.approx(2 * share, abs=0.004)


def test_of_two_systems_on_the_same_questions_it_is_tangos_bound_of_the_errors() -> None:
    errors = {"a": [0] * 200, "b": [-1] * 12 + [1] * 3 + [0] * 185}
    bias = measure_bias(plain(errors, paired=True), alpha=0.05)
    wanted = tango(PairedCounts(better=3, worse=12, pairs=200), alpha=0.025)
    assert bias.worst is not None
    assert (bias.worst.bias.lower, bias.worst.bias.upper) == pytest.approx((wanted.lower, wanted.upper), abs=1e-9)
    assert bias.difference == pytest.approx(-wanted.lower)
    assert [one.system for one in bias.systems] == ["a", "b"]
    assert bias.systems[1].bias.estimate == pytest.approx(-9 / 200)


def test_a_judge_that_errs_alike_for_everybody_moves_no_comparison() -> None:
    alike = {name: [-1 if i % 5 == 0 else 0 for i in range(300)] for name in "abc"}
    same = measure_bias(plain(alike, paired=True), alpha=0.05)
    one = measure_bias(plain(alike | {"c": [0] * 300}, paired=True), alpha=0.05)
    assert same.difference is not None
    assert one.difference is not None
    assert same.difference < 0.03
    assert one.difference > 0.2
    assert same.rate is not None
    assert same.rate > 0.2


def test_no_error_among_few_labels_proves_little() -> None:
    for each, systems in ((80, "ab"), (400, "ab"), (80, "abcdef")):
        bias = measure_bias(plain({name: [0] * each for name in systems}), alpha=0.05)
        z2 = ndtri(1 - 0.05 / (len(systems) * (len(systems) - 1))) ** 2
        assert bias.difference == pytest.approx(2 * z2 / (2 * each + z2))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda item: replace(item, systems=()), "the labels do not say which system gave which answer"),
        (lambda item: replace(item, systems=("v1",)), "all labelled answers are of one system, 'v1'"),
        (
            lambda item: replace(item, systems=() if item.item == "a7" else item.systems),
            "1 of 200 labelled items do not say which system",
        ),
        (
            lambda item: replace(item, systems=(item.item,) if item.systems == ("a",) else item.systems),
            f"more than {MOST_SYSTEMS} are not compared",
        ),
    ],
)
def test_what_cannot_be_known_is_said_and_refused(change: Callable[[LabelledItem], LabelledItem], why: str) -> None:
    items = [change(item) for item, _ in plain({"a": [0] * 100, "b": [0] * 100})]
    results = tried(items)
    assert results.bias is not None
    assert why in results.bias.unknown
    assert results.bias.difference is None
    *_, reason = refusals(results, AdmissionThresholds(margin=0.9))
    assert "nobody can know how far off its difference between two systems is" in reason


def test_silence_makes_the_bound_wider() -> None:
    rated = plain({"a": [0] * 150, "b": [0] * 150}, paired=True)
    for quiet in ("a", "b"):
        silent = [
            (replace(item, said=None) if item.systems == (quiet,) and i % 10 == 0 else item, label)
            for i, (item, label) in enumerate(rated)
        ]
        found, before = measure_bias(silent, alpha=0.05), measure_bias(rated, alpha=0.05)
        assert found.difference is not None
        assert before.difference is not None
        assert found.difference > before.difference + 0.03


def test_clusters_count_whole() -> None:
    rated = plain({"a": [0] * 160, "b": [-1] * 16 + [0] * 144}, paired=True)
    spread = [(replace(item, cluster=f"d{i % 160 // 8}"), label) for i, (item, label) in enumerate(rated)]
    alone, together = (measure_bias(one, alpha=0.05) for one in (rated, spread))
    assert alone.difference is not None
    assert together.difference is not None
    assert together.difference > alone.difference + 0.03


def test_longer_and_laid_out_answers_are_compared_with_the_others() -> None:
    rated = []
    for i, (item, label) in enumerate(plain({"a": [0] * 150, "b": [0] * 150})):
        long = i % 2 == 1
        said = "pass" if long and i % 3 == 0 else item.said
        rated.append((replace(item, said=said, lengths=(100 if long else 10,), styled=(long,)), label))
    bias = measure_bias(rated, alpha=0.05)
    wrong = sum(item.said != label for item, label in rated) / 150
    assert [trait.trait for trait in bias.traits] == ["length", "layout"]
    assert bias.traits[0].bias.estimate == pytest.approx(wrong)
    assert bias.traits[0].bias.lower is not None
    assert 0.0 < bias.traits[0].bias.lower < wrong


def test_the_bound_holds_for_all_pairs_together() -> None:
    """Questions of the OpenQA pairs drawn anew: the bound lies above every true bias of GPT-4 in 95 % of draws."""
    rows = [row for row in shared_rows("paired/openqa-nq301.jsonl") if row["judge_gpt4"] is not None]
    names = ("evigen", "fid-kd", "instructgpt-fewshot64", "r2d2")
    cases: dict[str, dict[str, dict[str, object]]] = {}
    for row in rows:
        cases.setdefault(row["item_id"], {})[row["system"]] = row
    whole = [case for case in cases.values() if set(names) <= case.keys()]
    error = np.array(
        [[float(str(case[n]["judge_gpt4"])) - float(str(case[n]["score"])) for n in names] for case in whole]
    )
    true = np.ptp(error.mean(axis=0))
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(25):
        drawn = rng.integers(0, len(whole), 150)
        found = [
            replace(item, item=f"{k} {item.item}", case=f"{k}")
            for k, i in enumerate(drawn)
            for item in items_of([whole[i][name] for name in names], lambda row: row["judge_gpt4"])
        ]
        bias = measure_bias([(item, str(item.votes[0])) for item in found], alpha=0.05)
        held += bias.difference is not None and bias.difference >= true
    assert held >= 22
