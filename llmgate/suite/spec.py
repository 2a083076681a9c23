"""A suite file as it is written becomes a `Suite`; whatever is unknown or impossible is refused with its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from llmgate.errors import DatasetError, SuiteError, did_you_mean
from llmgate.record.policy import MetricPolicy, SlicePolicy
from llmgate.record.traits import TraitWatch
from llmgate.record.waiver import Waiver
from llmgate.suite.assertpart import AssertPart, Defaults, Finite, Name, Part, assert_spec, check_defaults
from llmgate.suite.asserts import AssertSpec, Json
from llmgate.suite.document import Document, read_document
from llmgate.suite.driftpart import DriftBlock, drift_keys
from llmgate.suite.gates import GateBlock, GatePart, Gates, SlicesPart, WaiverPart, is_long
from llmgate.suite.locate import locate
from llmgate.suite.promptfile import KeptPrompt
from llmgate.suite.promptpart import (
    ContentPart,
    Conversation,
    Entries,
    EntryPart,
    Prompt,
    PromptMessage,
    column_path,
    read_prompt,
)
from llmgate.suite.source import Source
from llmgate.suite.stopping import ExtendPart, StoppingPart
from llmgate.suite.toolspec import read_tools

if TYPE_CHECKING:
    from llmgate.suite.asserts import Vocabulary

__all__ = ["SUITE_MAJOR", "Conversation", "PromptMessage", "ServingSpec", "Suite", "is_suite_file", "load_suite"]

SUITE_MAJOR: Final = 1
HEAD_BYTES: Final = 8192


class CasePart(Part):
    """`case:` - which columns identify a case, and which bring asserts and a threshold of its own."""

    id: str = "id"
    """The column that identifies a row."""
    cluster: str | None = None
    """The column whose value rows of one document, conversation or task share."""
    slices: list[str] = Field(default_factory=list)
    """Columns whose values part the rows into groups that are looked at one by one."""
    asserts: str | None = None
    """The column with asserts of the row's own."""
    threshold: str | None = None
    """The column with the row's own threshold."""


class SamplingPart(Part):
    """`sampling:` - fields of the chat completion request; `extra` passes others through."""

    temperature: Annotated[Finite, Field(ge=0)] = 0.0
    """0 for the likeliest token."""
    top_p: Annotated[Finite, Field(gt=0, le=1)] | None = None
    top_k: int | None = None
    min_p: Annotated[Finite, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] = 256
    """The longest answer, in tokens."""
    seed: int = 0
    """Seed of the first repeat; further repeats count on from it."""
    stop: str | list[str] | None = None
    frequency_penalty: Finite | None = None
    presence_penalty: Finite | None = None
    response_format: dict[str, Any] | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, passed through as they are."""


class ServingPart(Part):
    """`serving:` - the throughput measurement."""

    concurrency: Annotated[int, Field(ge=1)] = 8
    """Requests in flight at once."""
    requests: Annotated[int, Field(ge=1)] = 64
    """Requests that are measured."""
    max_tokens: Annotated[int, Field(ge=2)] = 64
    """Tokens per answer."""
    warmup: Annotated[int, Field(ge=0)] = 4
    """Requests before the measured ones."""


class JudgePart(Part):
    """`judge:` - sampling of the rubric judge."""

    max_tokens: Annotated[int, Field(ge=32)] = 400
    """The longest verdict, in tokens."""
    seed: int = 0
    """Seed of its sampling."""
    admission: str | list[str] = Field(default_factory=list)
    """Admission records that `llmgate judge admit` wrote, beside the suite; they let judged metrics gate."""


class PricesPart(Part):
    """`prices:` - what a million tokens cost, in one currency."""

    prompt: Annotated[Finite, Field(ge=0)]
    """Of what is asked."""
    completion: Annotated[Finite, Field(ge=0)]
    """Of what is answered."""


class SuitePart(Part):
    """The whole file."""

    llmgate: int
    """Format of the file: 1."""
    suite: Name
    """The suite's name."""
    version: str
    """The suite's version: raise it when questions or asserts change."""
    description: str = ""
    """For readers."""
    dataset: str
    """Rows: a JSONL, CSV or Parquet file from the suite's folder, or hf://…, or mlflow://…"""
    case: CasePart = CasePart()
    """Which columns identify, group and slice the cases."""
    prompt: Entries
    """What is asked: messages, a prompt file, or a column with conversations."""
    tools: str | list[Any] | None = None
    """Tools that requests offer, or the column that holds them."""
    sampling: SamplingPart = SamplingPart()
    """Fields of the chat completion request."""
    repeat: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often each case is asked."""
    asserts: Annotated[list[AssertPart], Field(alias="assert", default_factory=list)]
    """What is checked of each answer."""
    defaults: Defaults = Defaults()
    """What asserts are given where they say nothing themselves."""
    threshold: Annotated[Finite, Field(gt=0)] | None = None
    """The least weighted mean of its asserts with which a case passes; without it all have to pass."""
    gate: GateBlock = GateBlock()
    """Which metrics gate, and how strictly."""
    drift: DriftBlock = DriftBlock()
    """Which traits of answers are compared with the champion's, and which of them gate; off for none."""
    serving: ServingPart | None = None
    """Measure throughput and latency too."""
    judge: JudgePart = JudgePart()
    """Sampling of the judge."""
    prices: PricesPart | None = None
    """What a million tokens cost, so that `cost` can be asserted."""
    allow_leakage: Annotated[bool, Field(alias="allow-leakage")] = False
    """Whether examples in the prompt may be among the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """The serving measurement that a suite asks for."""

    concurrency: int
    requests: int
    max_tokens: int
    warmup: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a million tokens cost."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """The cost of one answer, None where the server did not count its tokens."""
        if prompt_tokens is None or completion_tokens is None:
            return None
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, checked as far as it can be without its dataset.

    Attributes:
        digest: SHA-256 over everything that decides what is asked and how it is scored, except the dataset's
            content (the dataset has its own) and the gate policy (a margin may change without a new run).
        source: Where the rows come from.
        prompt: Messages and conversations, in order.
        kept_prompts: The prompts that came from files and registries, for readers.
        tools: The tools that requests offer, or the column that has them, or None.
        allow_leakage: Whether examples in the prompt may be among the rows.
        sampling: Request fields, ready to be sent.
        threshold: The least weighted mean with which a case passes; None if all its asserts have to pass.
        metrics: One policy per metric that an assert feeds; empty until the rows are known, if rows bring asserts.
        gates: How metrics are gated.
        defaults: What asserts are given where they say nothing themselves.
        assert_column: The column with asserts of the row's own, None if there is none.
        threshold_column: The column with the row's own threshold, None if there is none.
        prices: What tokens cost, None if the suite does not say.
        slices: The slice fields in which a loss is looked for.
        waivers: Findings that somebody accepted until a date.
        watched: Traits of the answers that are shown and do not gate.
        admissions: Files that say which judges may gate.
    """

    name: str
    version: str
    description: str
    path: Path
    source: Source
    id_column: str
    cluster_column: str | None
    slice_columns: tuple[str, ...]
    prompt: tuple[PromptMessage | Conversation, ...]
    kept_prompts: tuple[KeptPrompt, ...] = ()
    tools: list[Json] | Conversation | None = None
    allow_leakage: bool = False
    sampling: Mapping[str, Json]
    repeat: int
    asserts: tuple[AssertSpec, ...]
    judged_metrics: frozenset[str]
    metrics: tuple[MetricPolicy, ...]
    serving: ServingSpec | None
    judge_max_tokens: int
    judge_seed: int
    digest: str
    threshold: float | None
    gates: Gates
    defaults: Defaults
    assert_column: str | None = None
    threshold_column: str | None = None
    prices: Prices | None = None
    slices: tuple[SlicePolicy, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    watched: tuple[TraitWatch, ...] = ()
    admissions: tuple[Path, ...] = ()


def is_suite_file(path: Path) -> bool:
    """Whether a YAML file calls itself a suite: its head has a top-level `llmgate:` key.

    Cheap on purpose: pytest asks it of every YAML file that it meets.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"llmgate:") or b"\nllmgate:" in head


def load_suite(path: Path, vocabulary: Vocabulary) -> Suite:
    """Read and check a suite file.

    Args:
        path: The YAML file.
        vocabulary: The assert types that exist.

    Raises:
        SuiteError: With file, line, what is wrong and how to fix it.
    """
    document = read_document(path)
    check_major(document)
    part = validate(document)
    asserts = read_asserts(document, part, vocabulary)
    prompt = read_prompt(part.prompt, path.parent, partial(document.where, "prompt"))
    tools = read_tools_key(document, part)
    gates = Gates(
        suite=part.suite,
        block=part.gate,
        where=partial(where_written, document, "gate"),
        drift=part.drift,
        where_drift=partial(document.where, "drift"),
    )
    source = find_dataset(document, part)
    # The asserts of rows are known once the rows are.
    own = part.case.asserts is not None or source.may_bring_asserts
    metrics = () if own else gates.policies(asserts, vocabulary)
    if not asserts and not own:
        raise SuiteError("the suite has no assert", where=document.where("assert"), fix="Add `assert:`")
    return Suite(
        name=part.suite,
        version=part.version,
        description=part.description,
        path=path,
        source=source,
        id_column=part.case.id,
        cluster_column=part.case.cluster,
        slice_columns=tuple(part.case.slices),
        prompt=prompt.entries,
        kept_prompts=prompt.kept,
        tools=tools,
        allow_leakage=part.allow_leakage,
        sampling=sampling_fields(part.sampling),
        repeat=part.repeat,
        asserts=asserts,
        judged_metrics=frozenset(metric.metric for metric in metrics if metric.judged),
        metrics=metrics,
        gates=gates,
        defaults=part.defaults,
        assert_column=part.case.asserts,
        threshold_column=part.case.threshold,
        prices=Prices(**part.prices.model_dump()) if part.prices else None,
        slices=gates.slices(part.case.slices),
        waivers=gates.waivers(),
        watched=part.drift.watched(part.suite),
        admissions=admission_files(part.judge, path.parent),
        serving=ServingSpec(**part.serving.model_dump()) if part.serving else None,
        judge_max_tokens=part.judge.max_tokens,
        judge_seed=part.judge.seed,
        digest=suite_digest(part, prompt, tools, asserts, vocabulary),
        threshold=part.threshold,
    )


def admission_files(part: JudgePart, folder: Path) -> tuple[Path, ...]:
    """The files that `judge: {admission: …}` names, beside the suite."""
    named = [part.admission] if isinstance(part.admission, str) else part.admission
    return tuple(folder / name for name in named)


def find_dataset(document: Document, part: SuitePart) -> Source:
    """Where the rows come from; a bad URI is a mistake of the suite."""
    try:
        return locate(part.dataset, document.path.parent)
    except DatasetError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise SuiteError(what, where=document.where("dataset"), fix=error.fix) from error


def read_tools_key(document: Document, part: SuitePart) -> list[Json] | Conversation | None:
    """`tools:` as definitions or as the column that has them."""
    where = document.where("tools")
    if part.tools is None:
        return None
    if "tools" in part.sampling.extra:
        raise SuiteError("tools stand here and in sampling.extra", where=where, fix="Remove the ones in sampling.extra")
    if isinstance(part.tools, str):
        return Conversation(path=column_path(part.tools, where), where=where)
    return read_tools(part.tools, where=where)


def read_asserts(document: Document, part: SuitePart, vocabulary: Vocabulary) -> tuple[AssertSpec, ...]:
    """The asserts, each with its line; unknown types are refused with the nearest name."""
    check_defaults(part.defaults, vocabulary.names, partial(document.where, "defaults"))
    return tuple(
        assert_spec(one, vocabulary.names, partial(document.where, "assert", index), part.defaults)
        for index, one in enumerate(part.asserts)
    )


def check_major(document: Document) -> None:
    """Refuse a file of another format before looking at its keys."""
    major = document.data.get("llmgate")
    if major != SUITE_MAJOR or isinstance(major, bool):
        raise SuiteError(
            f"the suite format is {major!r}, and this llmgate reads format {SUITE_MAJOR}"
            if "llmgate" in document.data
            else "the file does not say which suite format it has",
            where=document.where("llmgate"),
            fix=f"Write `llmgate: {SUITE_MAJOR}` on its first line",
        )


def validate(document: Document) -> SuitePart:
    """Check types and names, wording the first problem."""
    try:
        return SuitePart.model_validate(document.data)
    except ValidationError as error:
        raise worded(document, error) from error


def worded(document: Document, error: ValidationError) -> SuiteError:
    """Turn pydantic's first problem into file, line and advice."""
    # Unknown keys first: a misspelt key is also the reason why another one is missing.
    problems = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    problem = problems[0]
    location = tuple(problem["loc"])
    where = where_written(document, *location)
    field = ".".join(str(part) for part in written(document, location))
    if problem["type"] == "extra_forbidden":
        return SuiteError(
            f"unknown key {str(location[-1])!r}", where=where, fix=did_you_mean(str(location[-1]), keys_at(location))
        )
    if problem["type"] == "missing":
        return SuiteError(f"the key {field!r} is missing", where=where, fix=f"Add `{location[-1]}:`")
    return SuiteError(
        f"{field}: {problem['msg'][:1].lower()}{problem['msg'][1:]}", where=where, fix="Correct the value"
    )


def where_written(document: Document, *location: str | int) -> str:
    """`file:line` of a part of the parsed file."""
    return document.where(*written(document, location))


def written(document: Document, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where a part stands in the file: the short form of `gate:` has no `metrics:` in between."""
    gate = document.data.get("gate")
    if location[:2] == ("gate", "metrics") and isinstance(gate, dict) and not is_long(gate):
        return ("gate", *location[2:])
    return location


def keys_at(location: tuple[str | int, ...]) -> list[str]:
    """The keys that are valid where an unknown one stands."""
    part: type[BaseModel] = SuitePart
    parts: dict[str, type[BaseModel]] = {
        "case": CasePart,
        "prompt": EntryPart,
        "sampling": SamplingPart,
        "assert": AssertPart,
        "gate": GateBlock,
        "serving": ServingPart,
        "judge": JudgePart,
        "defaults": Defaults,
        "prices": PricesPart,
    }
    if location[0] == "drift" and len(location) > 1:
        return drift_keys(location[1:])
    gate: dict[object, type[BaseModel]] = {
        "metrics": GatePart,
        "slices": SlicesPart,
        "waivers": WaiverPart,
        "stopping": StoppingPart,
    }
    if location[0] == "gate" and len(location) > 2:
        part = ExtendPart if location[1:3] == ("stopping", "extend") and len(location) > 3 else gate[location[1]]
    elif len(location) > 1:
        part = ContentPart if location[0] == "prompt" and "content" in location[:-1] else parts[str(location[0])]
    return [field.alias or name for name, field in part.model_fields.items()]


def sampling_fields(part: SamplingPart) -> dict[str, Json]:
    """The request fields that sampling stands for; what is unset is not sent."""
    fields = part.model_dump(exclude_none=True, exclude={"extra"})
    return {**fields, **part.extra}


def suite_digest(
    part: SuitePart,
    prompt: Prompt,
    tools: list[Json] | Conversation | None,
    asserts: tuple[AssertSpec, ...],
    vocabulary: Vocabulary,
) -> str:
    """SHA-256 over what decides the questions and the scores, the meaning of each assert type included."""
    types = {one.type for spec in asserts for one in (spec, *spec.asserts)} & vocabulary.names
    facts: dict[str, Any] = {
        "suite": part.suite,
        "prompt": prompt.facts,
        "sampling": sampling_fields(part.sampling),
        "repeat": part.repeat,
        "case": part.case.model_dump(),
        # Who may gate is the gate's business and no part of the questions.
        "judge": part.judge.model_dump(exclude={"admission"}),
        "threshold": part.threshold,
        **({"prices": part.prices.model_dump()} if part.prices else {}),
        "assert": [without_places(asdict(spec)) for spec in asserts],
        "versions": {name: vocabulary.version(name) for name in sorted(types)},
    }
    if tools is not None:
        facts["tools"] = ".".join(tools.path) if isinstance(tools, Conversation) else tools
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def without_places(spec: dict[str, Any]) -> dict[str, Any]:
    """An assert without the lines on which it stands: moving it changes nothing."""
    inner = [without_places(one) for one in spec["asserts"]]
    return {**{key: value for key, value in spec.items() if key != "where"}, "asserts": inner}
