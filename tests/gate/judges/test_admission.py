"""Admission of judges: who gets in on real labels, who must not, and that silence never pays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from support.shared_data import shared_rows

from llmgate.errors import UndefinedError
from llmgate.gate.judges.admission import at_least_default, refusals
from llmgate.gate.judges.agreement import measure_judge, settled_label
from llmgate.record.judges.admission import (
    DEFAULT_THRESHOLDS,
    AdmissionEvidence,
    AdmissionResults,
    AdmissionThresholds,
    CanaryTrial,
    LabelledItem,
)
from llmgate.stats.agreement import cohen_kappa, gwet_ac1, krippendorff_alpha
from llmgate.stats.agreement_intervals import kappa_interval
from llmgate.stats.proportion import clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmgate.record.judges.admission import Kind

CAUGHT = tuple(CanaryTrial(canary=name, item="a", outcome="caught") for name in ("empty", "order"))
FLIP = {"pass": "fail", "fail": "pass"}
WIDE = AdmissionThresholds(margin=0.9)
"""Where it is not the bias of differences that a test is about."""


def answers(
    said: Callable[[int, str], str | None],
    *,
    items: int = 200,
    passes: int = 100,
    repeats: int = 50,
    canaries: tuple[CanaryTrial, ...] = CAUGHT,
) -> AdmissionEvidence:
    """`items` labelled answers, the first `passes` of them passes; `said` is the judge."""
    labels = ["pass" if i < passes else "fail" for i in range(items)]
    verdicts = [said(i, label) for i, label in enumerate(labels)]
    return AdmissionEvidence(
        kind="answers",
        items=tuple(
            LabelledItem(
                item=f"i{i}",
                votes=(label,),
                said=verdict,
                again=(verdict,) if i % (items // repeats) == 0 else (),
                systems=("ab"[i % 2],),
            )
            for i, (label, verdict) in enumerate(zip(labels, verdicts, strict=True))
        ),
        canaries=canaries,
    )


def why(evidence: AdmissionEvidence, thresholds: AdmissionThresholds = DEFAULT_THRESHOLDS) -> str:
    return "\n".join(refusals(measure_judge(evidence, thresholds), thresholds))


def equal(i: int, label: str) -> str:
    return label


def test_a_judge_that_says_what_people_say_is_admitted() -> None:
    evidence = answers(equal)
    results = measure_judge(evidence)
    assert refusals(results) == ()
    assert (results.items, results.settled, results.labels) == (200, 200, {"pass": 100, "fail": 100})
    for figure in (results.agreement, results.kappa, results.ac1, results.alpha, results.repeat):
        assert figure.estimate == 1.0
        assert figure.lower is not None
        assert figure.lower < 1.0
    assert results.repeat.of == 50


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (lambda *_: "pass", "κ between judge and people is only known to be at least"),
        (lambda i, _: "pass" if i % 2 else "fail", "κ between judge and people is only known to be at least"),
        (lambda _, label: FLIP[label], "κ between judge and people is only known to be at least"),
        (lambda i, label: label if i % 4 else FLIP[label], "estimate 0.50, 200 times); 0.40 is needed"),
        (lambda *_: None, "no verdict on 200 of 200 items; at most 5% are accepted"),
        (lambda i, label: label if i % 10 else None, "no verdict on 20 of 200 items; at most 5% are accepted"),
    ],
    ids=["always pass", "coin", "contrary", "a quarter wrong", "silent", "a tenth silent"],
)
def test_these_judges_are_refused(said: Callable[[int, str], str | None], reason: str) -> None:
    assert reason in why(answers(said))


def test_the_figures_are_those_of_stats() -> None:
    evidence = answers(lambda i, label: label if i % 5 else FLIP[label])
    pairs = [(item.votes[0], item.said) for item in evidence.items]
    results = measure_judge(evidence)
    assert results.kappa.estimate == pytest.approx(cohen_kappa(pairs))
    assert results.kappa.lower == kappa_interval(pairs, alpha=0.05).lower
    assert results.ac1.estimate == pytest.approx(gwet_ac1(pairs))
    assert results.alpha.estimate == pytest.approx(krippendorff_alpha(pairs))
    assert results.agreement.lower == clopper_pearson(160, 200, alpha=0.05).lower
    assert results.sensitivity is not None
    assert results.specificity is not None
    assert (results.sensitivity.estimate, results.sensitivity.of) == (0.8, 100)
    assert (results.specificity.estimate, results.specificity.of) == (0.8, 100)


def test_ac1_alone_would_admit_a_judge_that_lets_everything_pass() -> None:
    results = measure_judge(answers(lambda *_: "pass", items=200, passes=160))
    assert results.ac1.lower is not None
    assert results.ac1.lower > 0.6
    assert any(reason.startswith("κ") for reason in refusals(results))


def test_a_coin_gets_in_less_than_once_in_a_billion_times() -> None:
    def coin(right: int) -> AdmissionEvidence:
        """Of 150 items; what it gets wrong is spread evenly over both labels."""
        return answers(lambda i, label: label if i % 75 < right // 2 else FLIP[label], items=150, passes=75)

    fewest = next(right for right in range(100, 150, 2) if not why(coin(right), WIDE))
    assert binom.sf(fewest - 1, 150, 0.5) < 1e-9


def test_too_few_items_or_labels_are_refused() -> None:
    assert why(answers(equal, items=149, passes=75)).startswith("149 items have a label that people agree on; at least")
    assert "people label 29 items 'fail'; at least 30 are needed" in why(answers(equal, passes=171))
    nobody = AdmissionEvidence(kind="answers", items=())
    assert "0 items" in why(nobody)
    assert "is not known" in why(nobody)
    assert "no canary was tried" in why(nobody)


def test_people_who_do_not_agree_are_no_measure() -> None:
    evidence = answers(equal)
    split = tuple(
        replace(item, votes=("pass", "fail")) if i % 8 == 0 else item for i, item in enumerate(evidence.items)
    )
    found = replace(evidence, items=split)
    assert measure_judge(found).settled == 175
    assert "people do not come to a majority on 25 of 200 items; at most 10% are accepted" in why(found)


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        (("pass",), "pass"),
        (("pass", "fail", "pass"), "pass"),
        (("pass", None, None), "pass"),
        (("pass", "fail"), None),
        ((None,), None),
        ((), None),
    ],
)
def test_the_label_is_the_one_that_most_people_give(votes: tuple[str | None, ...], label: str | None) -> None:
    assert settled_label(votes) == label


def test_each_canary_has_to_be_caught() -> None:
    for outcome, words in (("passed", "let 1 of 3 canaries pass (colon)"), ("lost", "no verdict on 1 of 3 canaries")):
        trial = CanaryTrial(canary="colon", item="a", outcome=outcome)  # type: ignore[arg-type]  # from a table
        assert words in why(answers(equal, canaries=(*CAUGHT, trial)))
    assert "no canary was tried" in why(answers(equal, canaries=()))


def test_a_judge_has_to_repeat_itself() -> None:
    evidence = answers(equal)
    fickle = tuple(replace(item, again=(FLIP[item.votes[0] or ""],)) if item.again else item for item in evidence.items)
    assert "repeated questions answered alike is only known" in why(replace(evidence, items=fickle))
    never = tuple(replace(item, again=()) for item in evidence.items)
    assert "repeated questions answered alike is not known" in why(replace(evidence, items=never))
    lost = tuple(replace(item, again=(None,)) if item.again else item for item in evidence.items)
    assert measure_judge(replace(evidence, items=lost)).repeat.estimate == 0.0


def test_thresholds_can_be_raised_and_not_lowered() -> None:
    lax = AdmissionThresholds(
        items=1, per_label=1, kappa=-1.0, order=0.0, repeat=0.0, unparseable=1.0, unsettled=1.0, alpha=0.4
    )
    assert at_least_default(lax) == DEFAULT_THRESHOLDS
    assert why(answers(lambda *_: "pass"), lax) == why(answers(lambda *_: "pass"))
    strict = replace(DEFAULT_THRESHOLDS, kappa=0.99)
    assert "0.99 is needed" in why(answers(equal), strict)


def test_an_unknown_label_is_refused() -> None:
    evidence = answers(equal)
    bad = replace(evidence.items[0], votes=("maybe",))
    with pytest.raises(UndefinedError, match="'maybe' is none of the labels"):
        measure_judge(replace(evidence, items=(bad, *evidence.items[1:])))


def test_a_stratum_can_only_refuse() -> None:
    evidence = answers(lambda i, label: label if i % 5 else FLIP[label], items=400, passes=200)

    def parted(hard: Callable[[int], bool]) -> AdmissionEvidence:
        return replace(
            evidence,
            items=tuple(replace(item, stratum="hard" if hard(i) else "easy") for i, item in enumerate(evidence.items)),
        )

    assert why(evidence, WIDE) == ""
    assert why(parted(lambda i: i % 2 == 0), WIDE) == ""
    # All mistakes in one stratum: right on average, a coin where it is hard.
    results = measure_judge(parted(lambda i: i % 5 in {0, 1}))
    assert [one.stratum for one in results.strata] == ["easy", "hard"]
    assert refusals(results, WIDE) == (
        f"in the stratum 'hard' κ is at most {results.strata[1].kappa.upper:.2f}, below 0.40",
    )


def test_clusters_are_resampled_whole() -> None:
    evidence = answers(lambda i, label: label if i % 5 else FLIP[label])
    clustered = replace(
        evidence, items=tuple(replace(item, cluster=f"c{i // 4}") for i, item in enumerate(evidence.items))
    )
    results = measure_judge(clustered)
    assert results.kappa.method == "κ, BCa bootstrap of clusters"
    assert results == measure_judge(clustered)
    own = replace(evidence, items=tuple(replace(item, cluster=item.item) for item in evidence.items))
    assert measure_judge(own).kappa == measure_judge(evidence).kappa


KINDS: Sequence[tuple[Kind, Sequence[str]]] = (("answers", ("pass", "fail")), ("pairs", ("1", "2", "tie")))


@st.composite
def judged(draw: st.DrawFn) -> AdmissionEvidence:
    """Enough items, and a judge that may be good: only then is there an admission to lose."""
    kind, labels = draw(st.sampled_from(KINDS))
    right = draw(st.integers(60, 100))
    items: list[LabelledItem] = []
    for i in range(draw(st.integers(150, 220))):
        label = labels[(i * 7) % len(labels)]
        lot = draw(st.integers(0, 99))
        said = label if lot < right else labels[(labels.index(label) + 1 + lot % 2) % len(labels)]
        spoken = None if lot == 99 else said
        items.append(
            LabelledItem(
                item=f"i{i}",
                votes=(label,),
                said=spoken,
                orders=(spoken, spoken) if kind == "pairs" else None,
                again=(spoken,) if i < 40 else (),
                systems=("a", "b") if kind == "pairs" else ("ab"[i % 2],),
            )
        )
    return AdmissionEvidence(kind=kind, items=tuple(items), canaries=CAUGHT)


def silenced(item: LabelledItem, order: Literal[0, 1]) -> LabelledItem:
    if item.orders is None:
        return replace(item, said=None)
    return replace(item, said=None, orders=(None, item.orders[1]) if order == 0 else (item.orders[0], None))


@settings(max_examples=20, deadline=None)
@given(judged(), st.data())
def test_a_reply_that_cannot_be_read_never_improves(evidence: AdmissionEvidence, data: st.DataObject) -> None:
    at = data.draw(st.sets(st.integers(0, len(evidence.items) - 1), min_size=1, max_size=12))
    worse = replace(evidence, items=tuple(silenced(one, 0) if i in at else one for i, one in enumerate(evidence.items)))
    before, after = measure_judge(evidence), measure_judge(worse)
    assert after.unparseable >= before.unparseable
    assert (after.agreement.lower or 0.0) <= (before.agreement.lower or 0.0)
    assert (after.kappa.estimate or 0.0) <= (before.kappa.estimate or 0.0) + 1e-12
    assert (after.kappa.lower or 0.0) - after.unparseable / after.items <= (
        (before.kappa.lower or 0.0) - before.unparseable / before.items + 1e-12
    )
    if refusals(before, WIDE):
        assert refusals(after, WIDE)


@settings(max_examples=20, deadline=None)
@given(judged(), st.data())
def test_leaving_out_an_item_on_which_the_judge_was_right_never_admits_it(
    evidence: AdmissionEvidence, data: st.DataObject
) -> None:
    right = [i for i, item in enumerate(evidence.items) if item.said == item.votes[0]]
    gone = data.draw(st.sets(st.sampled_from(right), min_size=1, max_size=20))
    fewer = replace(evidence, items=tuple(item for i, item in enumerate(evidence.items) if i not in gone))
    if refusals(measure_judge(evidence), WIDE):
        assert refusals(measure_judge(fewer), WIDE)


# Real judges on real labels.

Votes = tuple[int | None, int | None]


def llmbar(rows: Sequence[Mapping[str, object]], judge: str) -> AdmissionEvidence:
    """A recorded judge that always repeats itself and catches canaries: what is left are agreement and order."""
    items: list[LabelledItem] = []
    for row in rows:
        verdicts = row["verdicts"]
        assert isinstance(verdicts, dict)
        one, two = (None if vote is None else str(vote) for vote in verdicts[judge])
        said = None if one is None or two is None else one if one == two else "tie"
        items.append(
            LabelledItem(
                item=str(row["item_id"]),
                votes=(str(row["gold"]),),
                said=said,
                orders=(one, two),
                again=(said,) if said is not None and len(items) % 5 == 0 else (),
                stratum=str(row["subset"]),
            )
        )
    return AdmissionEvidence(kind="pairs", items=tuple(items), canaries=CAUGHT)


def by_agreement(results: AdmissionResults) -> tuple[str, ...]:
    """Reasons besides that nobody knows which systems gave the answers, which these data do not say."""
    unknown, *reasons = sorted(refusals(results), key=lambda reason: "the labels do not say which system" not in reason)
    assert "nobody can know how far off its difference between two systems is" in unknown
    return tuple(reasons)


def test_of_58_judges_on_llmbar_those_with_gpt_4_agree_with_people() -> None:
    rows = shared_rows("judge/llmbar-verdicts.jsonl")
    judges = list(rows[0]["verdicts"])
    plain = {
        judge: by_agreement(
            measure_judge(replace(found, items=tuple(replace(one, stratum=None) for one in found.items)))
        )
        for judge in judges
        for found in [llmbar(rows, judge)]
    }
    admitted = {judge for judge, reasons in plain.items() if not reasons}
    assert len(judges) == 58
    assert admitted == {judge for judge in judges if judge.startswith("GPT-4/")}
    assert len(admitted) == 10
    assert any("both orders agree" in reason for reason in plain["Falcon/CoT"])


def test_llmbar_by_subset_shows_what_easy_items_hide() -> None:
    rows = shared_rows("judge/llmbar-verdicts.jsonl")
    assert by_agreement(measure_judge(llmbar(rows, "GPT-4/Metrics_Reference"))) == ()
    reasons = refusals(measure_judge(llmbar(rows, "ChatGPT/Vanilla")))
    assert any("in the stratum 'Neighbor' κ is at most" in reason for reason in reasons)
    assert not any("'Natural'" in reason for reason in reasons)


def test_recorded_judges_without_a_second_order_are_not_admitted() -> None:
    rows = shared_rows("judge/pandalm.jsonl")
    word = {1: "1", 2: "2", 0: "tie", None: None}
    items = tuple(
        LabelledItem(
            item=row["item_id"],
            votes=tuple(word[vote] for vote in row["human"]),
            said=word[row["judge_gpt35"]],
            cluster=row["cluster"],
        )
        for row in rows
    )
    results = measure_judge(AdmissionEvidence(kind="pairs", items=items))
    assert (results.settled, results.unparseable) == (734, 24)
    assert results.labels == {"1": 309, "2": 339, "tie": 86}
    assert results.agreement.estimate == pytest.approx(0.6975, abs=5e-5)
    assert results.people is not None
    assert results.people.lower is not None
    assert results.people.lower > 0.85
    assert any("both orders agree" in reason for reason in refusals(results))
    people = tuple(
        replace(
            one,
            said=settled_label(one.votes),
            orders=(settled_label(one.votes),) * 2,
            again=(settled_label(one.votes),) if i % 10 == 0 else (),
        )
        for i, one in enumerate(items)
    )
    assert by_agreement(measure_judge(AdmissionEvidence(kind="pairs", items=people, canaries=CAUGHT))) == ()
