"""The form of a suite file: its keys and their types; whatever is unknown or misspelt is refused with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, ValidationError

from llmgate.errors import SuiteError
from llmgate.suite.form.asserts import AssertPart, Defaults
from llmgate.suite.form.drift import DriftBlock
from llmgate.suite.form.gate import GateBlock, is_long
from llmgate.suite.form.part import Finite, Name, Part, first_problem, worded
from llmgate.suite.form.prompt import Entries
from llmgate.suite.form.serving import ServingPart

if TYPE_CHECKING:
    from llmgate.suite.form.document import Document

__all__ = ["SUITE_MAJOR", "CasePart", "JudgePart", "SamplingPart", "SuitePart", "validate", "where_written"]

SUITE_MAJOR: Final = 1
FIRST_VERSION: Final = "0.1.0"
"""Of a suite that says none."""


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
    version: str = FIRST_VERSION
    """The suite's version: raise it when questions or asserts change."""
    description: str = ""
    """For readers."""
    dataset: str
    """Rows: a JSONL, CSV or Parquet file from the suite's folder, or hf://…, or mlflow://…"""
    case: CasePart = CasePart.model_construct()
    """Which columns identify, group and slice the cases."""
    prompt: Entries
    """What is asked: messages, a prompt file, or a column with conversations."""
    tools: str | list[Any] | None = None
    """Tools that requests offer, or the column that holds them."""
    sampling: SamplingPart = SamplingPart.model_construct()
    """Fields of the chat completion request."""
    repeat: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often each case is asked."""
    asserts: Annotated[list[AssertPart], Field(alias="assert", default_factory=list)]
    """What is checked of each answer; an empty list lets cases go unchecked: asked, recorded and compared."""
    defaults: Defaults = Defaults.model_construct()
    """What asserts are given where they say nothing themselves."""
    threshold: Annotated[Finite, Field(gt=0)] | None = None
    """The least weighted mean of its asserts with which a case passes; without it all have to pass."""
    gate: GateBlock = GateBlock.model_construct()
    """Which metrics gate, and how strictly."""
    drift: DriftBlock = DriftBlock.model_construct()
    """Which traits of answers are compared with the champion's, and which of them gate; off for none."""
    serving: ServingPart | None = None
    """Measure throughput and latency too, and gate them."""
    judge: JudgePart = JudgePart.model_construct()
    """Sampling of the judge."""
    prices: PricesPart | None = None
    """What a million tokens cost, so that `cost` can be asserted."""
    allow_leakage: Annotated[bool, Field(alias="allow-leakage")] = False
    """Whether examples in the prompt may be among the rows."""


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
    """Check format, types and names.

    Raises:
        SuiteError: About the first problem, with its line.
    """
    check_major(document)
    try:
        return SuitePart.model_validate(document.data)
    except ValidationError as error:
        problem = first_problem(error)
        what, fix = worded(problem, written(document, problem["loc"]), SuitePart)
        raise SuiteError(what, where=where_written(document, *problem["loc"]), fix=fix) from error


def where_written(document: Document, *location: str | int) -> str:
    """`file:line` of a part of the parsed file."""
    return document.where(*written(document, location))


def written(document: Document, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where a part stands in the file: the short form of `gate:` has no `metrics:` in between."""
    gate = document.data.get("gate")
    if location[:2] == ("gate", "metrics") and isinstance(gate, dict) and not is_long(gate):
        return ("gate", *location[2:])
    return location
