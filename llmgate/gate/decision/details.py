"""What stands below the sentence of a decision: one labelled line per subject, and what to do next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.gate.decision.baseline_words import baseline_sentence
from llmgate.gate.decision.cluster_words import cluster_sentence, few_clusters
from llmgate.gate.decision.types import MetricDecision, SliceDecision, Verdict
from llmgate.gate.decision.wording import (
    attempt_words,
    count,
    name_some,
    one_line,
    points,
    share,
    short_name,
    short_names,
    verb,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.gate.decision.types import Decision, WaiverUse

__all__ = ["chances_sentence", "detail_lines", "next_step", "recorded", "worst_slice"]


def next_step(decision: Decision) -> str:
    """What to do now, one sentence, to follow `Next:`."""
    run = decision.candidate_run
    if decision.verdict is Verdict.PASS:
        return "promote this model with llmgate promote." if run else "promote the candidate."
    if decision.verdict is Verdict.FAIL:
        where = "in report.html or with llmgate show" if run else "among the flips of --json"
        if _only_serving(decision, Verdict.FAIL) and not decision.required_failures:
            return f"look at the runs {where if run else 'one by one'}, make it as fast as it was and run again."
        return f"look at the cases that got worse {where}, mend the candidate and run again."
    if decision.is_baseline:
        return "compare later runs with this one: --baseline and its folder."
    if decision.barring:
        problem = decision.barring[0]
        fix = one_line(problem.fix or f"mend {problem.where}: {problem.what}", 300)
        return f"{fix[0].lower()}{fix[1:]}." if fix[:2].istitle() else f"{fix}."
    more = "pairs of runs" if _only_serving(decision, Verdict.INCONCLUSIVE) else "cases"
    return f"add {more}, or accept a wider margin; llmgate power says how many or how wide."


def _only_serving(decision: Decision, verdict: Verdict) -> bool:
    """Whether all that came to a verdict are figures of serving, and no slice is worse."""
    found = [metric for metric in decision.metrics if metric.gates and not metric.waived and metric.verdict is verdict]
    lost = any(part.failed and not part.waived for part in decision.slices)
    return bool(found) and all(metric.unit for metric in found) and not lost


def recorded(decision: Decision) -> Decision:
    """The decision on a run that was made to be compared with: it says so where nothing else stands in its way."""
    decision = replace(decision, as_baseline=True)
    gates = [metric for metric in decision.metrics if metric.gates]
    first = sum(metric.reference == "none" for metric in gates)
    if not decision.is_baseline or not first:
        return decision
    others = f"; {len(gates) - first} with a limit of its own passed" if len(gates) > first else ""
    have = f"{count(first, 'gate')} {verb(first, 'has', 'have')} nothing to compare with yet"
    return replace(decision, sentence=f"Recorded as baseline: {have}{others}.")


def detail_lines(decision: Decision) -> tuple[tuple[str, str], ...]:
    """Labels and sentences in reading order; a subject about which there is nothing to say has no line."""
    return tuple(_details(decision))


def _details(decision: Decision) -> Iterator[tuple[str, str]]:
    gates = [metric for metric in decision.metrics if metric.gates and not metric.waived]
    yield "Gates", _gates(decision, gates)
    if any(not metric.unit for metric in decision.metrics):
        yield "Cases", _cases(decision)
    if any(metric.unit for metric in gates):
        yield "Runs", _runs(decision)
    compared = [metric for metric in gates if metric.reference == "champion" and not (metric.two_sided or metric.unit)]
    if compared:
        better, worse = (sum(getattr(metric, side) for metric in compared) for side in ("better", "worse"))
        scores = sum(metric.evaluated for metric in compared)
        changed = f"{better + worse:,} of {count(scores, 'gated score')} changed"
        yield "Flips", f"{changed}: {better:,} better, {worse:,} worse."
    yield from _clusters(decision, gates)
    yield from _chances(decision, gates)
    if decision.baseline is not None:
        yield "Baseline", baseline_sentence(decision.baseline)
    if decision.slices:
        yield "Slices", _slices(decision)
    if decision.required_failures:
        yield "Required", f"failed by {name_some(map(short_name, decision.required_failures))}."
    yield from _judged(gates)
    yield from _waivers(decision.waivers)
    for look in decision.looks:
        if look.stopped or look.reserve:
            yield "Early stop", look.sentence
    if decision.attempt is not None and (words := attempt_words(decision.attempt)):
        # The label and the words before it say which attempt it is.
        rest = decision.attempt.sentence.removeprefix(f"Attempt {decision.attempt.number} of this candidate").lstrip(
            ". :"
        )
        yield "Attempt", f"{words.removeprefix('attempt ')}. {rest}".strip()


def _waivers(uses: Sequence[WaiverUse]) -> Iterator[tuple[str, str]]:
    for use in uses:
        if use.status == "applied":
            by, why = one_line(use.by), one_line(use.reason)
            yield "Waiver", f"{use.target} is waived until {use.until} by {by}: {why}."
        elif use.status != "expired":
            why = "unused" if use.status == "unused" else "without effect, as no date is known"
            yield "Waiver", f"that of {use.target} until {use.until} is {why}."
    expired = [use for use in uses if use.status == "expired"]
    if expired:
        named = name_some(f"{use.target} ({use.until})" for use in expired)
        yield "Waiver", f"{count(len(expired), 'waiver')} {verb(len(expired), 'has', 'have')} expired: {named}."


def _gates(decision: Decision, gates: Sequence[MetricDecision]) -> str:
    words = {Verdict.PASS: "passed", Verdict.FAIL: "failed", Verdict.INCONCLUSIVE: "undecided"}
    counts = [(word, sum(metric.verdict is verdict for metric in gates)) for verdict, word in words.items()]
    parts = [f"{number} {word}" for word, number in counts if number]
    waived = sum(metric.waived for metric in decision.metrics)
    parts += [f"{waived} waived"] if waived else []
    watched = sum(not metric.gates for metric in decision.metrics)
    beside = f"; {count(watched, 'further metric')} only watched" if watched else ""
    return f"{', '.join(parts) or 'none'}{beside}."


def _cases(decision: Decision) -> str:
    """How many cases each metric has, the gated ones first: a PASS beside missing cases must say whose they are."""
    names = short_names(decision.metrics)
    named = [(name, metric) for name, metric in zip(names, decision.metrics, strict=True) if not metric.unit]
    gated = [(name, metric) for name, metric in named if metric.gates]
    sizes = sorted({metric.expected for _, metric in gated})
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}" if sizes else "no"
    short = [
        f"{name} {metric.evaluated:,} of {metric.expected:,}{'' if metric.gates else ' (only watched)'}"
        for name, metric in sorted(named, key=lambda pair: not pair[1].gates)
        if metric.errors
    ]
    lead = f"{size} {verb(sizes[-1] if sizes else 0, 'case', 'cases')} per gate"
    if not short:
        return f"{lead}, all evaluated."
    others = ", all evaluated" if not any(metric.errors for _, metric in gated) else ""
    return f"{lead}{others}. Not all evaluated: {name_some(short)}."


def _runs(decision: Decision) -> str:
    """How many runs each gated figure of serving has."""
    named = zip(short_names(decision.metrics), decision.metrics, strict=True)
    gated = [(name, metric) for name, metric in named if metric.gates and metric.unit]
    sizes = sorted({metric.expected for _, metric in gated})
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    unit = "pair" if any(metric.champion is not None or metric.reference == "none" for _, metric in gated) else "run"
    lead = f"{size} {unit}{'' if sizes[-1] == 1 else 's'}{' of runs' if unit == 'pair' else ''} per serving gate"
    short = [f"{name} {metric.evaluated:,} of {metric.expected:,}" for name, metric in gated if metric.errors]
    return f"{lead}. Not all count: {name_some(short)}." if short else f"{lead}{', all valid' if sizes[-1] else ''}."


def _clusters(decision: Decision, gates: Sequence[MetricDecision]) -> Iterator[tuple[str, str]]:
    """Of the gate whose clusters tell least."""
    names = dict(zip(map(id, decision.metrics), short_names(decision.metrics), strict=True))
    known = [(metric.cluster_facts, names[id(metric)]) for metric in gates if metric.cluster_facts]
    if known:
        facts, name = min(known, key=lambda one: one[0].effective)
        lead = "" if len(gates) == 1 else f"{name}: "
        yield "Clusters", f"{lead}{' '.join(filter(None, (cluster_sentence(facts), few_clusters(facts))))}"


def _chances(decision: Decision, gates: Sequence[MetricDecision]) -> Iterator[tuple[str, str]]:
    """Of the gate that an identical model passes most rarely."""
    names = dict(zip(map(id, decision.metrics), short_names(decision.metrics), strict=True))
    known = [metric for metric in gates if chances_sentence(metric)]
    weakest = min(known, key=lambda metric: metric.pass_if_unchanged or 0.0, default=None)
    if weakest is not None:
        lead = "" if len(gates) == 1 else f"{names[id(weakest)]}, the weakest gate: "
        yield "Error chances", f"{lead}{chances_sentence(weakest)}"


def chances_sentence(metric: MetricDecision) -> str:
    """Both error rates of a gate; empty if they are unknown.

    What a loss changed is part of the spread that a FAIL saw, so that the chance of an identical model comes out low.
    """
    if metric.pass_if_unchanged is None or metric.pass_if_margin_lost is None or metric.margin is None:
        return ""
    after_loss = "pessimistic after a real loss" if metric.verdict is Verdict.FAIL else ""
    basis = {
        "repeats": "from the champion's repeats",
        "run": "from a noise run of the champion",
        "history": "from past releases",
    }.get(metric.chances_from, after_loss)
    who, loss = "An identical model", f"a true {points(metric.margin)}-point loss"
    if metric.unit:
        who, loss = "An unchanged server", f"a true loss of {points(metric.margin)} %"
    if metric.two_sided:
        loss = f"a true change by a factor of {1.0 + metric.margin:.6g}"
    # Of clusters only the robust t is reckoned with, and the rule is never narrower.
    chance = share(metric.pass_if_unchanged)
    most = "at most " if metric.cluster_facts and chance[:1].isdigit() else ""
    return (
        f"{who} would pass this gate {most}{chance} of the time"
        f"{f' ({basis})' if basis else ''}; {loss} would pass at most {share(metric.pass_if_margin_lost)} of the time."
    )


def worst_slice(slices: Sequence[SliceDecision]) -> tuple[SliceDecision, int]:
    """The slice that lost most of those that failed and are not waived, and how many others did.

    Raises:
        ValueError: If none did.
    """
    failed = [part for part in slices if part.failed and not part.waived]
    return min(failed, key=lambda part: part.delta), len(failed) - 1


def _slices(decision: Decision) -> str:
    alarms = f"{100.0 * decision.slice_alpha:.3g} % false alarms"
    tested = f"Testing {count(len(decision.slices), 'slice')} adds at most {alarms}."
    if not any(part.failed and not part.waived for part in decision.slices):
        return f"none is worse. {tested}"
    worst, others = worst_slice(decision.slices)
    also = "also " if any(m.verdict is Verdict.FAIL for m in decision.metrics if m.gates and not m.waived) else ""
    lead = f"{count(others + 1, 'slice')} {verb(others + 1, 'is', 'are')} {also}worse"
    loss = f"{worst.short_name} by {points(-worst.delta, 0.0)} points on {count(worst.cases, 'case')}"
    return f"{lead}{', most of all' if others else ':'} {loss}. {tested}"


def _judged(gates: Sequence[MetricDecision]) -> Iterator[tuple[str, str]]:
    """Which gates a judge scores, and which of these judges nobody admitted."""
    unadmitted = [f"{metric.suite}::{metric.metric}" for metric in gates if metric.admission == "unadmitted"]
    if unadmitted:
        are = verb(len(unadmitted), "is a judge score", "are judge scores")
        yield "Judge", f"never admitted: {name_some(unadmitted)} {are}, not human quality."
    for metric in gates:
        if metric.labels:
            yield "Labels", f"{metric.suite}::{metric.metric} is corrected by {count(metric.labels, 'human label')}."
