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
from llmgate.gate.power.plan import Design, Power, designs_of, plan_power
from llmgate.record.policy import Aggregate, MetricPolicy
from llmgate.record.run.loading import load_record
from llmgate.session.decide.records import chosen_policy
from llmgate.session.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.gate.evidence.evidence import Noise
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
    designs = tuple(_changed(design, question) for design in _designs(question, records, root))
    if not designs:
        raise UsageError("no metric gates, so there is nothing to plan", fix="Give a metric role: primary")
    power = plan_power(designs, noise, discordance=question.discordance, wanted=question.power)
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
    for name, value in (("n", question.cases), ("repeat", question.repeat)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value}", fix="Give at least 1")
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


def _designs(question: PowerQuestion, records: Sequence[Record], root: Path) -> tuple[Design, ...]:
    if question.suites:
        # Suites and YAML are read only where a suite is named.
        from llmgate.session.run.plan import plan_paths  # noqa: PLC0415

        given = {
            **question.options,
            "policy": str(question.policy) if question.policy else None,
            "repeat": question.repeat,
        }
        plan = plan_paths(question.suites, settings_from(given, root=root))
        return designs_of((case.planned for case in plan.cases), plan.policy)
    if records:
        return designs_of(records[-1].cases, chosen_policy(records[-1].manifest, question.policy))
    metric = MetricPolicy(suite="suite", metric="score", margin=question.margin, aggregate=Aggregate.ALL)
    return (Design(policy=metric, cases=question.cases or 1),)


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
    return remarks
