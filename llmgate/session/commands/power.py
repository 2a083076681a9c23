"""What a gate can decide, before it is run: sizes from suites or records, noise from records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import UsageError
from llmgate.gate.evidence.comparable import check_decidable
from llmgate.gate.evidence.repeats import repeat_scores
from llmgate.gate.power.noise import noise_of_history, noise_of_repeats, noise_of_run, texts_flipped
from llmgate.gate.power.plan import Power, designs_of, plan_power
from llmgate.gate.power.rules import Design
from llmgate.gate.power.serving import DEFAULT_SLOWDOWN, ServingDesign, ServingNoise
from llmgate.gate.serving.arms_spread import spreads_of_arms
from llmgate.record.policy import Aggregate, MetricPolicy
from llmgate.record.run.loading import load_record
from llmgate.record.serving.plan import DEFAULT_PAIRS, LEAST_PAIRS
from llmgate.session.decide.records import chosen_policy
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.evidence.evidence import Noise
    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record

__all__ = ["PowerAnswer", "PowerQuestion", "ask_power"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerQuestion:
    """What `llmgate power` was asked. See its help for what each option means.

    Attributes:
        suites: Suite files or folders; without any, the records say what is gated.
        aa: Two runs of the same model.
        repeats: A run whose cases were answered several times.
        history: Runs of past releases, the oldest first.
        discordance: For metrics of which no record tells.
        margin: In place of the policy's.
        cases: In place of the suite's.
        repeat: In place of the suite's.
        policy: Policy file.
        power: The wanted probability.
        pairs: Pairs of serving runs, in place of the suite's.
        serving_cv: How much serving runs vary, for figures of which no record tells.
        slowdown: Of serving, about which the answer speaks.
        options: Those that it shares with `llmgate run`.
    """

    suites: tuple[Path, ...] = ()
    aa: tuple[Path, Path] | None = None
    repeats: Path | None = None
    history: tuple[Path, ...] = ()
    discordance: float | None = None
    margin: float | None = None
    cases: int | None = None
    repeat: int | None = None
    policy: Path | None = None
    power: float = 0.8
    pairs: int | None = None
    serving_cv: float | None = None
    slowdown: float = DEFAULT_SLOWDOWN
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerAnswer:
    """What can be decided.

    Attributes:
        power: Metric by metric and together.
        texts: Suite to how many texts differ between two runs of the same model, of how many.
        remarks: What the reader should know.
    """

    power: Power
    texts: dict[str, tuple[int, int]]
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All figures, for programs."""
        texts = {suite: {"differ": differ, "compared": compared} for suite, (differ, compared) in self.texts.items()}
        return {**asdict(self.power), "enough": self.power.enough, "texts": texts, "remarks": list(self.remarks)}


def ask_power(question: PowerQuestion, *, root: Path) -> PowerAnswer:
    """Answer from suites and records, without a model.

    Args:
        question: What was asked.
        root: Folder with pyproject.toml.

    Raises:
        UsageError: If the options contradict each other or say too little.
        RecordError: If a record cannot be used.
        NotComparableError: If two records cannot be compared.
        SuiteError, DatasetError, PolicyError: As for a run.
    """
    _check(question)
    records = _records(question)
    noise, texts = _noise(question, records)
    found, serving, reserve = _designs(question, records, root)
    designs = tuple(_changed(design, question) for design in found)
    if not (designs or serving):
        raise UsageError("no metric gates, so there is nothing to plan", fix="Give a metric role: primary")
    if question.pairs is not None:
        serving = tuple(replace(design, pairs=question.pairs) for design in serving)
    arms = [measured for record in records for measured in record.arms]
    runs = ServingNoise(
        spreads=spreads_of_arms((design.policy for design in serving), arms),
        cv=question.serving_cv,
        slowdown=question.slowdown,
    )
    power = plan_power(
        designs,
        noise,
        discordance=question.discordance,
        wanted=question.power,
        serving=serving,
        runs=runs,
        reserve=reserve,
    )
    return PowerAnswer(power=power, texts=texts, remarks=tuple(_remarks(power, noise)))


def _check(question: PowerQuestion) -> None:
    named = [name for name in ("aa", "repeats", "history") if getattr(question, name)]
    if len(named) > 1:
        raise UsageError(
            f"{' and '.join('--' + name for name in named)} both say how much scores change", fix="Give one of them"
        )
    for name in ("discordance", "power", "margin"):
        value = getattr(question, name)
        if value is not None and not (0.0 <= value <= 1.0 if name == "discordance" else 0.0 < value < 1.0):
            raise UsageError(f"--{name} is {value}", fix="Give a fraction between 0 and 1, such as 0.1")
    for name, value in (("serving-cv", question.serving_cv), ("serving-slowdown", question.slowdown)):
        if value is not None and not 0.0 < value < 1.0:
            raise UsageError(f"--{name} is {value}", fix="Give a fraction between 0 and 1, such as 0.05")
    least = {"n": 1, "repeat": 1, "serving-pairs": LEAST_PAIRS}
    for name, value in (("n", question.cases), ("repeat", question.repeat), ("serving-pairs", question.pairs)):
        if value is not None and value < least[name]:
            raise UsageError(f"--{name} is {value}", fix=f"Give at least {least[name]}")
    if not (question.suites or named or question.cases):
        raise UsageError(
            "neither a suite nor a run says what is gated",
            fix="Name a suite, give --aa RUN RUN, or --n and --discordance",
        )


def _records(question: PowerQuestion) -> tuple[Record, ...]:
    folders = question.aa or question.history or ((question.repeats,) if question.repeats else ())
    records = tuple(load_record(folder) for folder in folders)
    for record in records:
        check_decidable(record)
    return records


def _noise(question: PowerQuestion, records: Sequence[Record]) -> tuple[tuple[Noise, ...], dict[str, tuple[int, int]]]:
    if question.aa:
        first, second = records
        suites = [suite.name for suite in first.manifest.suites]
        noise = noise_of_run(first, second, first.manifest.policy)
        return noise, {suite: texts_flipped(first, second, suite) for suite in suites}
    if question.history:
        return noise_of_history(records, records[-1].manifest.policy), {}
    if records:
        noise = noise_of_repeats(repeat_scores(records[0], records[0].manifest.policy))
        if not noise:
            raise UsageError(
                "no case of this run was answered twice, so its repeats say nothing",
                where=str(question.repeats),
                fix="Run it with --repeat 2, or run it twice and give --aa",
            )
        return noise, {}
    return (), {}


def _designs(
    question: PowerQuestion, records: Sequence[Record], root: Path
) -> tuple[tuple[Design, ...], tuple[ServingDesign, ...], float]:
    """The sizes of scores and of serving figures, and what is reserved for further attempts."""
    if question.suites:
        # Suites and YAML are read only where a suite is named.
        from llmgate.session.run.plan import plan_paths  # noqa: PLC0415

        given = {
            **question.options,
            "policy": str(question.policy) if question.policy else None,
            "repeat": question.repeat,
        }
        plan = plan_paths(question.suites, settings_from(given, root=root))
        pairs = {one.suite.name: one.suite.serving.pairs for one in plan.suites if one.suite.serving is not None}
        looks = [suite.looks for suite in plan.suites if suite.looks is not None]
        sizes = designs_of((case.planned for case in plan.cases), plan.policy, looks)
        return sizes, _serving(plan.policy, pairs), plan.policy.reserve
    if records:
        policy = chosen_policy(records[-1].manifest, question.policy)
        pairs = {arms.plan.suite: arms.plan.pairs for arms in records[-1].arms}
        sizes = designs_of(records[-1].cases, policy, records[-1].manifest.looks)
        return sizes, _serving(policy, pairs), policy.reserve
    metric = MetricPolicy(suite="suite", metric="score", margin=question.margin, aggregate=Aggregate.ALL)
    return (Design(policy=metric, cases=question.cases or 1),), (), 0.0


def _serving(policy: Policy, pairs: Mapping[str, int]) -> tuple[ServingDesign, ...]:
    return tuple(
        ServingDesign(policy=gate, pairs=pairs.get(gate.suite, DEFAULT_PAIRS)) for gate in policy.serving if gate.gates
    )


def _changed(design: Design, question: PowerQuestion) -> Design:
    """What if: another number of cases, another margin, more repeats."""
    if question.margin is not None:
        design = replace(design, policy=replace(design.policy, margin=question.margin))
    if question.repeat is not None:
        design = replace(design, repeats=question.repeat)
    return design if question.cases is None else design.resized(question.cases)


def _remarks(power: Power, noise: Sequence[Noise]) -> list[str]:
    remarks = []
    known = {(measured.suite, measured.metric) for measured in noise}
    lost = [f"{m.suite}::{m.metric}" for m in power.metrics if (m.suite, m.metric) not in known]
    if noise and lost:
        remarks.append(f"the runs do not tell of {', '.join(lost[:3])}{' and others' if len(lost) > 3 else ''}")
    if noise and all(measured.source != "history" for measured in noise):
        remarks.append(
            "this is the server's own chance; a model that was trained anew changes more scores, even if it is as good:"
            " --history tells"
        )
    history = {(measured.suite, measured.metric) for measured in noise if measured.source == "history"}
    if any(metric.clusters is not None and (metric.suite, metric.metric) not in history for metric in power.metrics):
        remarks.append(
            "cases of one cluster are taken to change as independently as others; how much they move together, past"
            " releases tell (--history)"
        )
    return remarks
