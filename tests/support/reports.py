"""Reports to render: one small report per look, and one in which every free text is hostile."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from llmgate.gate.decision.types import Verdict
from llmgate.gate.serving.summary import ServingSummary
from llmgate.record.manifest import Hardware, JudgeIdentity, ServerIdentity, SuiteIdentity
from llmgate.record.policy import MetricPolicy, Role
from llmgate.record.schema import FailureKind, Message, PlannedCase
from llmgate.report.view import build_view
from support.records import (
    digest_of,
    make_case,
    make_check,
    make_decision,
    make_failed_result,
    make_flip,
    make_metric,
    make_policy,
    make_problem,
    make_record,
    make_result,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.report.rows import ReportView

__all__ = ["LOOKS", "hostile_view", "look", "make_serving", "texts_of"]

GOOD = "You can ask for a refund within 14 days.\n\nWe confirm by e-mail."
BAD = "You can ask for a refund at any time.\n\nWe confirm by post."
LOOKS = ("pass", "fail", "inconclusive", "not-evaluated", "no-champion")


def make_serving(output_throughput: float = 5238.0, median_ttft_ms: float = 128.0, **overrides: Any) -> ServingSummary:
    """A serving summary with the figures that people look at first."""
    summary: dict[str, Any] = {
        "name": "chat-512-128",
        "concurrency": 256,
        "requests": 1000,
        "completed": 1000,
        "metrics": {
            "request_throughput": output_throughput / 128,
            "output_throughput": output_throughput,
            "median_ttft_ms": median_ttft_ms,
            "p99_ttft_ms": median_ttft_ms * 3,
            "median_tpot_ms": 6.55,
            "p99_tpot_ms": 9.4,
            "mean_e2el_ms": 966.4,
        },
    }
    return ServingSummary(**(summary | overrides))


def look(name: str) -> ReportView:
    """The view of one of `LOOKS`: six cases, three metrics, two slices."""
    policy = make_policy(
        [
            MetricPolicy(suite="support", metric="accuracy", margin=0.03),
            MetricPolicy(suite="support", metric="refusals", role=Role.GUARDRAIL, margin=0.05, min=0.9),
            MetricPolicy(suite="support", metric="tone", role=Role.WATCH),
        ]
    )
    cases = [
        make_case(
            f"refund-{i:03}",
            prompt=f"How do I get my money back for order {i}?",
            expected="contains: 14 days",
            slices={"language": "de" if i % 2 else "en"},
        )
        for i in range(6)
    ]
    before = [make_result(case.case, text=GOOD, reason="contains '14 days'") for case in cases]
    after = list(before)
    before[4] = make_result("refund-004", text=BAD, score=0.0, reason="does not contain '14 days'")
    before[5] = make_result("refund-005", text=BAD, score=0.0, reason="does not contain '14 days'")
    after[1] = make_result("refund-001", text=BAD, score=0.0, reason="does not contain '14 days'")
    after[5] = make_result("refund-005", text=BAD, score=0.0, reason="does not contain '14 days'")
    champion = make_record(
        cases=cases, results=before, run_id="run-champion", policy=policy, version=7, path="/home/ci/runs/run-champion"
    )
    if name == "not-evaluated":
        after = after[:4]
        after[0] = make_failed_result("refund-000")
        after[2] = make_result("refund-002", score=None, reason="the judge's reply was not JSON")
    candidate = make_record(
        cases=cases, results=after, policy=policy, path="runs/run-candidate", sealed=name != "not-evaluated"
    )
    others = (
        make_metric(
            metric="refusals",
            role=Role.GUARDRAIL,
            margin=0.05,
            delta=0.003,
            lower=-0.009,
            upper=0.015,
            better=4,
            worse=3,
        ),
        make_metric(
            Verdict.INCONCLUSIVE, metric="tone", role=Role.WATCH, notes=("the default margin of 3 points was used",)
        ),
    )
    if name == "no-champion":
        threshold = make_metric(
            reference="threshold",
            method="Wilson score interval",
            candidate=0.917,
            champion=None,
            delta=None,
            lower=0.861,
            upper=0.951,
            margin=None,
            min=0.8,
            better=0,
            worse=0,
            p_worse=None,
            pass_if_unchanged=None,
            pass_if_margin_lost=None,
            reason="at least 86.1 % (95 %), threshold 80 %",
        )
        decision = make_decision(candidate=candidate, metrics=[threshold], sentence="PASS: at least 86.1 % (95 %).")
        return build_view(candidate, None, decision, serving=[make_serving()])
    if name == "not-evaluated":
        decision = make_decision(
            Verdict.INCONCLUSIVE,
            candidate=candidate,
            champion=champion,
            metrics=[make_metric(Verdict.INCONCLUSIVE, expected=6, evaluated=2, errors=4)],
            problems=[make_problem("4 of 6 cases were not evaluated", fix="Resume the run")],
            sentence="INCONCLUSIVE: 4 of 6 cases could not be evaluated, so nothing is proven.",
        )
        invalid = make_serving(invalid=("the client was the bottleneck: 180 ms of lag",), completed=991)
        return build_view(candidate, champion, decision, serving=[invalid], champion_serving=[make_serving()])
    verdict = {"pass": Verdict.PASS, "fail": Verdict.FAIL, "inconclusive": Verdict.INCONCLUSIVE}[name]
    decision = make_decision(
        verdict,
        candidate=candidate,
        champion=champion,
        metrics=[make_metric(verdict), *others],
        required_failures=("support::refund-001",) if name == "fail" else (),
    )
    return build_view(
        candidate, champion, decision, serving=[make_serving(5002.0, 131.0)], champion_serving=[make_serving()]
    )


def hostile_view(text: str) -> ReportView:
    """A report in which everything that a stranger can word says `text`, names included."""
    name = " ".join(text.split()) or "empty"
    check = make_check(0.0, type=name, metric=name, reason=text, required=True)
    odd = make_check(None, type=name, metric=name, reason=text)
    cases = [
        PlannedCase(
            suite=name,
            case=f"{name}{i}",
            slices={name: name},
            messages=(Message(role="system", content=text), Message(role="user", content=text)),
            expected=text,
            request_digest=digest_of(f"{i}{text}"),
        )
        for i in range(4)
    ]
    results = [
        make_result(cases[0].case, suite=name, text=text, checks=[check]),
        make_result(cases[1].case, suite=name, text=text, checks=[odd]),
        make_failed_result(cases[2].case, suite=name, kind=FailureKind.GARBAGE, message=text),
    ]
    better = [
        make_result(cases[0].case, suite=name, text=f"not {text}", checks=[make_check(1.0, type=name, metric=name)])
    ]
    suite = SuiteIdentity(
        name=name,
        version=name,
        digest=name,
        path=name,
        dataset_version=name,
        dataset_digest=name,
        cases=4,
        description=text,
    )
    manifest: dict[str, Any] = {
        "suites": (suite,),
        "policy": make_policy([MetricPolicy(suite=name, metric=name)]),
        "judge": JudgeIdentity(model=name, prompt_digest=name, sampling={name: name}),
        "server": ServerIdentity(engine=name, version=name, owned=False, flags=(text,), url=text),
        "hardware": Hardware(cpu=name, cores=1, memory_gib=1.0, gpus=(name,), driver=name),
        "packages": {name: name},
        "labels": {name: text},
    }
    candidate = make_record(cases=cases, results=results, model=name, **manifest)
    champion = make_record(cases=cases, results=better, run_id="run-champion", **(manifest | {"model": name}))
    metric = make_metric(
        Verdict.INCONCLUSIVE, suite=name, metric=name, method=text, reason=text, notes=(text,), errors=3, evaluated=1
    )
    decision = make_decision(
        Verdict.INCONCLUSIVE,
        candidate=candidate,
        champion=champion,
        metrics=[metric],
        flips=(
            make_flip(cases[0].case, suite=name, metric=name),
            make_flip(cases[0].case, 0.0, 1.0, suite=name, metric=name),
        ),
        problems=(make_problem(text, where=name, fix=text),),
        required_failures=(f"{name}::{cases[0].case}",),
        sentence=text,
    )
    serving = make_serving(name=name, invalid=(text,), notes=(text,))
    return build_view(candidate, champion, decision, serving=[serving], champion_serving=[make_serving(name=name)])


def texts_of(view: object, path: str = "view") -> Iterator[tuple[str, str]]:
    """Every string in a view with the way to it; states and kinds are not text."""
    if is_dataclass(view):
        for field in fields(view):
            if field.name not in {"state", "kind"}:
                yield from texts_of(getattr(view, field.name), f"{path}.{field.name}")
    elif isinstance(view, tuple):
        for item in view:
            yield from texts_of(item, path)
    elif isinstance(view, str):
        yield path, view
