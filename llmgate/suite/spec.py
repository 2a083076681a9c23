"""A suite file becomes a `Suite`; whatever is impossible is refused with its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import DatasetError, SuiteError
from llmgate.record.output_features import FeatureWatch
from llmgate.record.policy import MetricPolicy, SlicePolicy
from llmgate.record.reach import Reach, contained
from llmgate.record.serving.plan import ServingSpec
from llmgate.record.waiver import Waiver
from llmgate.suite.asserts import AssertSpec, Json, with_members
from llmgate.suite.data.locate import locate
from llmgate.suite.data.source import DatasetSource
from llmgate.suite.form.asserts import Defaults, assert_spec, check_defaults
from llmgate.suite.form.document import Document, read_document
from llmgate.suite.form.gate import Gates
from llmgate.suite.form.serving import serving_spec
from llmgate.suite.form.suite_file import JudgePart, SamplingPart, SuitePart, validate, where_written
from llmgate.suite.prompt.entries import Conversation, Prompt, PromptMessage, column_path, read_prompt
from llmgate.suite.prompt.file import KeptPrompt
from llmgate.suite.prompt.tools import read_tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.asserts import Vocabulary

__all__ = ["CodeFacts", "Prices", "ServingSpec", "Suite", "load_suite", "suite_of"]


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
class CodeFacts:
    """What is known of the tests of a suite in code.

    Attributes:
        digest: SHA-256 over their source.
        metrics: What they feed.
    """

    digest: str
    metrics: tuple[str, ...]


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
        version_given: Whether the file says its version.
        sampling: Request fields, ready to be sent.
        threshold: The least weighted mean with which a case passes; None if all its asserts have to pass.
        metrics: One policy per metric that an assert feeds; empty until the rows are known, if rows bring asserts.
        gates: How metrics are gated.
        defaults: What asserts are given where they say nothing themselves.
        assert_column: The column with asserts of the row's own, None if there is none.
        threshold_column: The column with the row's own threshold, None if there is none.
        watches: Whether cases may go unchecked: `assert: []` stands in the file.
        prices: What tokens cost, None if the suite does not say.
        slices: The slice fields in which a loss is looked for.
        waivers: Findings that somebody accepted until a date.
        watched: Traits of the answers that are shown and do not gate.
        admissions: Files that say which judges may gate.
        reach: Where the files lie that it may name.
        code: What its tests check, None if it is a file.
    """

    name: str
    version: str
    version_given: bool = True
    description: str
    path: Path
    source: DatasetSource
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
    watches: bool = False
    prices: Prices | None = None
    slices: tuple[SlicePolicy, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    watched: tuple[FeatureWatch, ...] = ()
    admissions: tuple[Path, ...] = ()
    reach: Reach
    code: CodeFacts | None = None

    @property
    def judged_metrics(self) -> frozenset[str]:
        """Those that a judge's scores feed."""
        return frozenset(metric.metric for metric in self.metrics if metric.judged)


def load_suite(path: Path, vocabulary: Vocabulary, *, allowed: Sequence[str] = ()) -> Suite:
    """Read and check a suite file.

    Args:
        path: The YAML file.
        vocabulary: The assert types that exist.
        allowed: Folders outside the project whose files it may name.

    Raises:
        SuiteError: With file, line, what is wrong and how to fix it.
    """
    document = read_document(path)
    return suite_of(document, validate(document), vocabulary, allowed=allowed)


def suite_of(
    document: Document,
    part: SuitePart,
    vocabulary: Vocabulary,
    *,
    allowed: Sequence[str] = (),
    code: CodeFacts | None = None,
) -> Suite:
    """A suite of what is written.

    Args:
        document: Where it is written.
        part: What is written, checked in form.
        vocabulary: The assert types that exist.
        allowed: Folders outside the project whose files it may name.
        code: What its tests check, where they are code.

    Raises:
        SuiteError: As for `load_suite`.
    """
    path = document.path
    asserts = read_asserts(document, part, vocabulary)
    reach = Reach.of(path, allowed)
    prompt = read_prompt(part.prompt, path.parent, reach, partial(document.where, "prompt"))
    tools = read_tools_key(document, part)
    gates = Gates(
        suite=part.suite,
        block=part.gate,
        where=partial(where_written, document, "gate"),
        drift=part.drift,
        where_drift=partial(document.where, "drift"),
    )
    source = find_dataset(document, part, reach)
    # The asserts of rows are known once the rows are.
    own = part.case.asserts is not None or source.may_bring_asserts
    metrics = () if own else gates.policies(asserts, vocabulary, further=code.metrics if code else ())
    watches = not asserts and code is None and "asserts" in part.model_fields_set
    if not asserts and not own and not watches and code is None:
        raise SuiteError(
            "the suite has no assert",
            where=document.where("assert"),
            fix="Add `assert:`, or write `assert: []` if answers are only to be recorded and compared",
        )
    return Suite(
        name=part.suite,
        version=part.version,
        version_given="version" in part.model_fields_set,
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
        metrics=metrics,
        gates=gates,
        defaults=part.defaults,
        assert_column=part.case.asserts,
        threshold_column=part.case.threshold,
        watches=watches,
        prices=Prices(**part.prices.model_dump()) if part.prices else None,
        slices=gates.slices(part.case.slices),
        waivers=gates.waivers(),
        watched=part.drift.watched(part.suite),
        admissions=admission_files(part.judge, document, reach),
        reach=reach,
        serving=read_serving(document, part, reach),
        judge_max_tokens=part.judge.max_tokens,
        judge_seed=part.judge.seed,
        digest=suite_digest(part, prompt, tools, asserts, vocabulary, code=code),
        threshold=part.threshold,
        code=code,
    )


def read_serving(document: Document, part: SuitePart, reach: Reach) -> ServingSpec | None:
    """`serving:`, None where a suite has none."""
    if part.serving is None:
        return None
    where = partial(document.where, "serving")
    return serving_spec(part.serving, suite=part.suite, path=document.path, reach=reach, where=where)


def admission_files(part: JudgePart, document: Document, reach: Reach) -> tuple[Path, ...]:
    """The files that `judge: {admission: …}` names, beside the suite."""
    named = [part.admission] if isinstance(part.admission, str) else part.admission
    paths = tuple(document.path.parent / name for name in named)
    for path in paths:
        contained(path, reach, where=document.where("judge", "admission"))
    return paths


def find_dataset(document: Document, part: SuitePart, reach: Reach) -> DatasetSource:
    """Where the rows come from; a bad URI is a mistake of the suite."""
    try:
        return locate(part.dataset, document.path.parent, reach)
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
        assert_spec(written, vocabulary.names, partial(document.where, "assert", index), part.defaults)
        for index, written in enumerate(part.asserts)
    )


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
    *,
    code: CodeFacts | None = None,
) -> str:
    """SHA-256 over what decides the questions and the scores, the meaning of each assert type included."""
    types = {spec.type for spec in with_members(asserts)} & vocabulary.names
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
    if code is not None:
        facts["code"] = {"source": code.digest, "version": part.version}
    if tools is not None:
        facts["tools"] = ".".join(tools.path) if isinstance(tools, Conversation) else tools
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def without_places(spec: dict[str, Any]) -> dict[str, Any]:
    """An assert without the lines on which it stands: moving it changes nothing."""
    inner = [without_places(member) for member in spec["asserts"]]
    return {**{key: value for key, value in spec.items() if key != "where"}, "asserts": inner}
