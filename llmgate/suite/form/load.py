"""`workload:` and `arrivals:` of a serving measurement: what is sent, and when.

The same words stand on the command line of `llmgate bench`: `random:input=512,output=64..256` is
`{random: {input: 512, output: 64..256}}`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, PlainValidator, ValidationError, WithJsonSchema, model_validator

from llmgate.errors import UsageError
from llmgate.record.reach import contained
from llmgate.record.serving.plan import OWN_PROMPTS, LengthsKind, TokenLengths, WorkloadKind, WorkloadSpec
from llmgate.record.serving.trace import CLOSED_LOOP, ArrivalKind, Arrivals
from llmgate.suite.form.part import Finite, Part, first_problem, worded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmgate.record.reach import Reach

__all__ = ["ArrivalsPart", "WorkloadPart", "read_arrivals", "read_lengths", "read_workload"]

NUMBER: Final = r"\d{1,7}(?:\.\d{1,6})?"
RANGE: Final = re.compile(r"^(\d{1,7})\.\.(\d{1,7})$")
SPREAD: Final = re.compile(
    rf"^(normal|lognormal)\(\s*({NUMBER})\s*,\s*({NUMBER})\s*(?:,\s*(\d{{1,7}})\.\.(\d{{1,7}})\s*)?\)$"
)
LENGTHS_FIX: Final = "write 512, 64..256, 128|512, normal(512,64), or lognormal(512,0.5,16..4096)"
MOST_RATE: Final = 1e5

Written = TypeVar("Written", bound=Part)


def read_lengths(written: object) -> TokenLengths:
    """A number of tokens and how it varies.

    `512` is always that; `64..256` anything between; `128|512` one of them, as a list is; `normal(512,64)` has mean and
    standard deviation; `lognormal(512,0.5)` median and deviation of the logarithm; both take a third part that bounds
    them: `normal(512,64,1..1024)`.

    Raises:
        ValueError: If it is none of them.
    """
    try:
        return _lengths(written)
    except UsageError as error:
        raise ValueError(error.what) from error


def _lengths(written: object) -> TokenLengths:
    if isinstance(written, int) and not isinstance(written, bool):
        return TokenLengths(kind="constant", first=written)
    if isinstance(written, list) and all(isinstance(each, int) and not isinstance(each, bool) for each in written):
        return TokenLengths(kind="choice", choices=tuple(written))
    text = written.strip() if isinstance(written, str) else ""
    if re.fullmatch(r"\d{1,7}", text):
        return TokenLengths(kind="constant", first=int(text))
    if re.fullmatch(r"\d{1,7}(\|\d{1,7}){1,99}", text):
        return TokenLengths(kind="choice", choices=tuple(map(int, text.split("|"))))
    if found := RANGE.match(text):
        return TokenLengths(kind="uniform", first=int(found[1]), second=int(found[2]))
    if found := SPREAD.match(text):
        kind: LengthsKind = "normal" if found[1] == "normal" else "lognormal"
        spread = TokenLengths(kind=kind, first=float(found[2]), second=float(found[3]))
        return replace(spread, least=int(found[4]), most=int(found[5])) if found[4] else spread
    raise ValueError(f"no lengths: {str(written)[:60]!r}; {LENGTHS_FIX}")


WrittenLengths = Annotated[
    TokenLengths,
    PlainValidator(read_lengths),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string"},
                {"type": "array", "items": {"type": "integer", "minimum": 1}},
            ]
        }
    ),
]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[Finite, Field(gt=0)]
Rate = Annotated[Finite, Field(gt=0, le=MOST_RATE)]


class DrawnPart(Part):
    """What all workloads have whose words are drawn."""

    output: WrittenLengths | None = None
    """Tokens of an answer; default: `max_tokens`."""
    seed: int = 0
    """Of all that is drawn."""
    tokenizer: str | None = None
    """A tokenizer.json, or the folder with one: prompts have exactly the tokens that are asked for, those of the chat
    template and of the mark that sets runs apart aside. Without it lengths are in words."""


class RandomPart(DrawnPart):
    """`random:` - words drawn at random."""

    input: WrittenLengths
    """Tokens of a prompt: 512, 64..256, 128|512, normal(512,64) or lognormal(512,0.5,16..4096)."""


class SharedPrefixPart(DrawnPart):
    """`shared-prefix:` - groups of prompts that begin alike."""

    groups: Count = 4
    """How many beginnings there are."""
    prefix: Count
    """Tokens of a beginning."""
    input: WrittenLengths
    """Tokens of a prompt's own, behind it."""


class MultiTurnPart(DrawnPart):
    """`multi-turn:` - conversations whose every request contains the turns before."""

    turns: Annotated[int, Field(ge=2, le=1000)] = 4
    """Requests of a conversation."""
    input: WrittenLengths
    """Tokens of what the user says in a turn."""
    prefix: Annotated[int, Field(ge=0)] = 0
    """Tokens of a system message that all conversations share; 0 for none."""
    together: Count = 8
    """Conversations that go on at once, one request of each after the other."""


class TracePart(Part):
    """`trace:` - lengths and times of recorded traffic, in Mooncake's form (JSONL) or BurstGPT's (CSV, JSONL)."""

    file: str
    """The recorded traffic; as many requests are replayed, from its beginning, as `requests:` says."""
    speed: Positive = 1.0
    """2 replays twice as fast as it was recorded."""
    unit: Literal["s", "ms"] | None = None
    """Of the times; default: ms in Mooncake's form, s in BurstGPT's."""
    block: Count = 512
    """Tokens for which each of `hash_ids` stands: 512 in Mooncake's traces, 16 in Qwen's."""
    max_input: Annotated[int | None, Field(alias="max-input", ge=1)] = None
    """Longer prompts are cut to this."""
    max_output: Annotated[int | None, Field(alias="max-output", ge=1)] = None
    """Longer answers are cut to this."""
    seed: int = 0
    """Of the words."""
    tokenizer: str | None = None
    """As of `random`."""


class WorkloadPart(Part):
    """`workload:` - one of these; without any, the suite's own prompts."""

    random: RandomPart | None = None
    """Words drawn at random."""
    shared_prefix: Annotated[SharedPrefixPart | None, Field(alias="shared-prefix")] = None
    """Groups of prompts that begin alike."""
    multi_turn: Annotated[MultiTurnPart | None, Field(alias="multi-turn")] = None
    """Conversations that grow."""
    trace: TracePart | None = None
    """Recorded traffic."""

    @model_validator(mode="before")
    @classmethod
    def short(cls, data: object) -> object:
        """Take `prompts`."""
        return {} if data == "prompts" else data

    @model_validator(mode="after")
    def one(self) -> WorkloadPart:
        """Refuse two workloads at once."""
        if len(self.model_fields_set) > 1:
            raise ValueError("two workloads; write one of them")
        return self

    def spec(self, folder: Path, reach: Reach | None, where: Callable[..., str]) -> WorkloadSpec:
        """As workloads are built from it.

        Args:
            folder: Where relative paths start.
            reach: Which files may be named; None for what a user names.
            where: Words the place of a part of what has `workload:`.

        Raises:
            SuiteError: If a file lies elsewhere.
        """
        parts: dict[WorkloadKind, Part | None] = {
            "random": self.random,
            "shared-prefix": self.shared_prefix,
            "multi-turn": self.multi_turn,
            "trace": self.trace,
        }
        for kind, part in parts.items():
            if part is not None:
                place = where("workload", kind)
                facts = {name: getattr(part, name) for name in type(part).model_fields}
                paths = {"path": facts.pop("file", None), "tokenizer": facts.pop("tokenizer", None)}
                facts |= {name: _named(text, folder, reach, place) for name, text in paths.items() if text is not None}
                return WorkloadSpec(kind=kind, within=reach, where=place, **facts)
        return replace(OWN_PROMPTS, where=where("workload"))


def _named(text: str, folder: Path, reach: Reach | None, where: str) -> Path:
    path = folder / text
    return path if reach is None else contained(path, reach, where=where)


class PoissonPart(Part):
    """`poisson:` - requests that know nothing of each other."""

    rate: Rate
    """Requests per second."""
    seed: int = 0
    """Of the times."""


class GammaPart(PoissonPart):
    """`gamma:` - bursts, or even gaps."""

    burstiness: Annotated[Finite, Field(ge=0.01, le=1000)]
    """1 is Poisson, below it come bursts, above it the gaps get even; as `vllm bench serve --burstiness`."""


class ConstantPart(Part):
    """`constant:` - even gaps."""

    rate: Rate
    """Requests per second."""


class RampPart(Part):
    """`ramp:` - Poisson with a rate that changes evenly from the first request to the last."""

    rate_from: Annotated[Rate, Field(alias="from")]
    """Requests per second at the beginning."""
    rate: Annotated[Rate, Field(alias="to")]
    """Requests per second at the end."""
    seed: int = 0
    """Of the times."""


class ArrivalsPart(Part):
    """`arrivals:` - one of these, or `closed`: a request is due when another has ended."""

    poisson: PoissonPart | None = None
    """Requests that know nothing of each other."""
    gamma: GammaPart | None = None
    """Bursts, or even gaps."""
    constant: ConstantPart | None = None
    """Even gaps."""
    ramp: RampPart | None = None
    """A rate that changes evenly."""

    @model_validator(mode="before")
    @classmethod
    def short(cls, data: object) -> object:
        """Take `closed`."""
        return {} if data == "closed" else data

    @model_validator(mode="after")
    def one(self) -> ArrivalsPart:
        """Refuse two at once."""
        if len(self.model_fields_set) > 1:
            raise ValueError("two kinds of arrivals; write one of them")
        return self

    def arrivals(self) -> Arrivals:
        """As the record keeps them."""
        parts: dict[ArrivalKind, Part | None] = {
            "poisson": self.poisson,
            "gamma": self.gamma,
            "constant": self.constant,
            "ramp": self.ramp,
        }
        for kind, part in parts.items():
            if part is not None:
                return Arrivals(kind=kind, **part.model_dump())
        return CLOSED_LOOP


def read_workload(text: str, folder: Path) -> WorkloadSpec:
    """A workload from the command line: `prompts`, `random:input=512,output=64..256`, `trace:FILE,speed=2`.

    Args:
        text: Kind, colon, settings with commas in between. `in` and `out` are short for `input` and `output`.
        folder: Where relative paths start.

    Raises:
        UsageError: If it is none.
    """
    part = _from_text(text, WorkloadPart, "--workload")
    return part.spec(folder, None, lambda *_: "--workload")


def read_arrivals(text: str) -> ArrivalsPart:
    """Arrivals from the command line: `closed`, `poisson:rate=4`, `gamma:rate=4,burstiness=0.5`.

    Raises:
        UsageError: If it is none.
    """
    return _from_text(text, ArrivalsPart, "--arrivals")


SHORT: Final = {"in": "input", "out": "output"}
OUTSIDE_BRACKETS: Final = re.compile(r",(?![^(]*\))")


def _from_text(text: str, form: type[Written], where: str) -> Written:
    kind, colon, settings = text.partition(":")
    data: object = kind
    if colon:
        values: dict[str, Any] = {}
        for index, each in enumerate(OUTSIDE_BRACKETS.split(settings)):
            key, equals, value = (part.strip() for part in each.partition("="))
            if not equals:
                if index or kind != "trace":
                    raise UsageError(
                        f"{each!r} is no setting", where=where, fix="Write `name=value` with commas between"
                    )
                key, value = "file", each
            key = SHORT.get(key, key)
            if key in values:
                raise UsageError(f"{key!r} is given twice", where=where, fix="Remove one of them")
            values[key] = _scalar(value)
        data = {kind: values}
    elif kind not in {"prompts", "closed"}:
        data = {kind: {}}
    try:
        return form.model_validate(data)
    except ValidationError as error:
        problem = first_problem(error)
        what, fix = worded(problem, problem["loc"] or (kind,), form)
        raise UsageError(what, where=where, fix=fix) from error


def _scalar(text: str) -> int | float | str:
    """A number where it reads as one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
