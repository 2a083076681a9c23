"""`llmgate bench --compare A B`: two servers measured against each other by hand, decided by the gate's own rule."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from llmgate.errors import RecordError, SuiteError, UsageError
from llmgate.gate.decide import decide_serving
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Decision
from llmgate.gate.serving.arms import run_serving_tests
from llmgate.generate.vllm.command import check_flags
from llmgate.record.arms import ServingArms
from llmgate.record.disk import write_atomic
from llmgate.record.reach import Reach
from llmgate.record.run.watch import RunLock
from llmgate.record.serving.plan import ServingSpec
from llmgate.report.formats.bench_json import compare_json
from llmgate.report.terminal.power_serving import serving_preflight
from llmgate.session.reach.engine_flags import engine_flags
from llmgate.session.reach.known_secrets import clean_logs, errors_redacted, redactor
from llmgate.session.reach.owned import NOTHING
from llmgate.session.reach.sources import local_arm
from llmgate.session.run.arm_places import check_shared, endpoint_place, folder_place, read_named
from llmgate.session.serving.compare import OUR_EYES, compare_serving, hosting_of
from llmgate.session.serving.folder import ArmsFolder
from llmgate.session.serving.plan import begin
from llmgate.suite.form.part import first_problem
from llmgate.suite.form.serving import ServingPart, serving_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.session.progress import Progress
    from llmgate.session.serving.hosting import ArmPlace
    from llmgate.session.serving.measuring import Eyes
    from llmgate.session.serving.single import Prompts
    from llmgate.session.settings.typed import Settings

__all__ = ["ByHand", "Comparison", "compare_by_hand", "comparison_json", "gated_spec"]

DEFAULT_FIGURES: Final = ("output_throughput", "median_ttft_ms", "median_tpot_ms")
DECISION_NAME: Final = "decision.json"
OPTIONS: Final = {"gate": "--metric", "concurrency": "--in-flight"}
"""Where a key of the form stands on the command line."""
NUMBERS: Final = frozenset({"margin", "min", "max", "alpha"})
WORDS: Final = frozenset({"role", "reason"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What is compared, and what is asked of it, as it is written on the command line.

    Attributes:
        champion: A: a model folder, a URL, or either with `#NAME`.
        candidate: B.
        champion_args: Further flags of A's server.
        candidate_args: Further flags of B's.
        candidate_env: Further variables of B's server.
        pairs: Pairs of runs.
        margin: Of every figure that says nothing else.
        metrics: `NAME` or `NAME:margin=0.05,role=guardrail`; empty for throughput and the medians of TTFT and TPOT.
        most: `p95_ttft_ms=500`: limits.
        least: `output_throughput=100`: limits.
        spec: What is sent, and when.
    """

    champion: str
    candidate: str
    champion_args: str = ""
    candidate_args: str = ""
    candidate_env: Mapping[str, str] = field(default_factory=dict)
    pairs: int
    margin: float
    metrics: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    spec: ServingSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of it."""

    decision: Decision
    arms: ServingArms
    gpu_minutes: float


def compare_by_hand(
    name: str, prompts: Prompts, settings: Settings, asked: ByHand, *, progress: Progress, eyes: Eyes = OUR_EYES
) -> Comparison:
    """Measure two servers against each other and decide.

    Args:
        name: Of the suites, or a general one; names the files.
        prompts: The suites' own, for workloads that are made of them.
        settings: The options; with `out`, plan and runs are kept there, and `resume` goes on with them.
        asked: What is compared.
        progress: Told about every step; may raise to end.
        eyes: Who else uses the machine.

    Raises:
        UsageError: If something that is named does not exist or cannot be asked.
        LlmgateError: As `compare_serving`.
    """
    if settings.model or settings.endpoint:
        raise UsageError("--compare names both servers", fix="Leave --model and --endpoint out")
    spec = gated_spec(asked, name=name)
    redact = redactor(settings)
    with errors_redacted(redact), ExitStack() as closing:
        out = Path(settings.out or closing.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-bench-")))
        store = ArmsFolder(out, redact=redact)
        closing.enter_context(RunLock(out, redact=redact))
        if begin(store, name) is not None and not settings.resume:
            raise RecordError(
                "this folder already holds a comparison",
                where=str(out),
                fix="Add --resume to go on with it, or choose another folder with --out",
            )
        closing.callback(clean_logs, out, redact)
        champion = _place(settings, asked.champion, asked.champion_args, out / "server-champion.log", progress)
        candidate = _place(
            settings,
            asked.candidate,
            asked.candidate_args,
            out / "server-candidate.log",
            progress,
            env=asked.candidate_env,
        )
        choice = hosting_of(name, candidate, champion, store, asked=settings.serving_hosting)
        progress.stage(f"{spec.pairs} pairs of runs, {choice.hosting} ({choice.reason})")
        check_shared(candidate, champion, progress=progress)
        for line in serving_preflight(spec, begin(store, name)):
            progress.stage(line)
        measured = compare_serving(
            name,
            spec,
            prompts,
            (candidate, champion),
            store,
            choice=choice,
            progress=progress,
            eyes=eyes,
        )
        decision = decide_serving(run_serving_tests(spec.gates, [measured.arms], champion=True))
        if settings.out:
            write_atomic(out / DECISION_NAME, redact(decision_to_json(decision).encode()))
    return Comparison(decision=decision, arms=measured.arms, gpu_minutes=measured.gpu_minutes)


def gated_spec(asked: ByHand, *, name: str) -> ServingSpec:
    """What is measured and tested: read by the form of suites, so that the same is refused for the same reasons.

    Raises:
        UsageError: If a figure, margin or limit is impossible.
    """
    spec = asked.spec
    gates = dict(_figure(text, asked.margin) for text in asked.metrics or DEFAULT_FIGURES)
    if asked.metrics and len(gates) < len(asked.metrics):
        raise UsageError("a figure is named twice", where="--metric", fix="Name each figure once")

    def where(*place: object) -> str:
        first, *rest = map(str, place)
        return " ".join([OPTIONS.get(first, f"--{first.replace('_', '-')}"), *rest])

    written: dict[str, Any] = {
        # An open loop needs no more than a steady part would of one slot.
        "concurrency": spec.concurrency if spec.arrivals.kind == "closed" else 1,
        "requests": spec.requests,
        "max_tokens": spec.max_tokens,
        "pairs": asked.pairs,
        "gate": gates,
        "max": _limits(asked.most, "--max"),
        "min": _limits(asked.least, "--min"),
        "goodput": dict(spec.levels.limits) if spec.levels else None,
    }
    try:
        part = ServingPart.model_validate(written)
        read = serving_spec(part, suite=name, path=Path(), reach=Reach(folders=()), where=where)
    except ValidationError as error:
        problem = first_problem(error)
        raise UsageError(problem["msg"], where=where(*problem["loc"]), fix="Correct the value") from error
    except SuiteError as error:
        raise UsageError(error.what, where=error.where, fix=error.fix) from error
    return replace(spec, pairs=read.pairs, gates=read.gates)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The decision, and every run with the keys of `vllm bench serve`."""
    return {**compare_json(comparison.decision, comparison.arms), "gpu_minutes": comparison.gpu_minutes}


def _place(
    settings: Settings, text: str, args: str, log_path: Path, progress: Progress, *, env: Mapping[str, str] = NOTHING
) -> ArmPlace:
    settings, text = local_arm(settings, text, progress)
    named = read_named(text, where="--compare")
    own = shlex.split(args)
    if named.url:
        if own or env:
            raise UsageError(
                "flags are for a server that llmgate starts", where=named.url, fix="Start the endpoint with them"
            )
        return endpoint_place(settings, named, progress=progress)
    flags = (*settings.server_args, *own)
    check_flags(flags)
    # The port is one server's at most.
    alone = replace(settings, server_args=flags, port=None)
    engine_flags(alone)  # a contradiction is told before anything is measured
    return folder_place(alone, named, log_path=log_path, progress=progress, env=env)


def _figure(text: str, margin: float) -> tuple[str, Mapping[str, object]]:
    """`median_ttft_ms:margin=0.1,role=guardrail`."""
    name, colon, rest = text.partition(":")
    entry: dict[str, object] = {}
    for setting in rest.split(",") if colon else ():
        key, equals, value = setting.partition("=")
        if not equals or key not in NUMBERS | WORDS:
            raise UsageError(
                f"{setting!r} says nothing of a figure",
                where=f"--metric {name}",
                fix=f"Write KEY=VALUE, with one of {', '.join(sorted(NUMBERS | WORDS))}",
            )
        entry[key] = _number(value, f"--metric {name}") if key in NUMBERS else value
    return name, entry if {"margin", "min", "max"} & set(entry) else {**entry, "margin": margin}


def _limits(texts: Sequence[str], flag: str) -> dict[str, float]:
    """`p95_ttft_ms=500`."""
    limits: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in limits:
            raise UsageError(f"{text!r} is no limit, or one that was given before", where=flag, fix="Write NAME=NUMBER")
        limits[name] = _number(value, flag)
    return limits


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number", where=where, fix="Write for example 0.05") from None
