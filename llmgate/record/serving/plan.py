"""What a serving measurement is asked to be: what is sent, when, how long, and which of its figures gate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from llmgate.errors import UsageError
from llmgate.record.reach import Reach
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.serving.trace import CLOSED_LOOP, Arrivals

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_PAIRS",
    "LEAST_PAIRS",
    "LEVEL_NAMES",
    "OWN_PROMPTS",
    "LengthsKind",
    "ServiceLevels",
    "ServingSpec",
    "TokenLengths",
    "WorkloadKind",
    "WorkloadSpec",
]

DEFAULT_PAIRS: Final = 8
LEAST_PAIRS: Final = 6
"""Pairs of runs below which nothing is decided."""
MOST_TOKENS: Final = 1_000_000
"""Of one prompt or one answer."""

LengthsKind = Literal["constant", "uniform", "normal", "lognormal", "choice"]
WorkloadKind = Literal["prompts", "random", "shared-prefix", "multi-turn", "trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLengths:
    """How many tokens prompts or answers have, and how that varies.

    Attributes:
        kind: `constant` is `first` always; `uniform` is anything from `first` to `second`, both included; `normal` has
            mean `first` and standard deviation `second`; `lognormal` has median `first`, and its logarithm the standard
            deviation `second`; `choice` draws one of `choices`, each as likely as the others.
        first: See above, tokens.
        second: See above, tokens; of `lognormal` without unit.
        least: Smaller draws become this.
        most: Larger draws become this.
        choices: Of `choice`, tokens.

    Raises:
        UsageError: If no length can be drawn from it.
    """

    kind: LengthsKind
    first: float = 0.0
    second: float = 0.0
    least: int = 1
    most: int = MOST_TOKENS
    choices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MOST_TOKENS:
            raise UsageError(f"lengths from {self.least} to {self.most}; they must lie within 1 to {MOST_TOKENS}")
        if self.kind == "choice":
            wrong = [length for length in self.choices if not 1 <= length <= MOST_TOKENS]
            if wrong or not self.choices:
                raise UsageError(f"the lengths {list(self.choices)}; give some from 1 to {MOST_TOKENS}")
            return
        if not (math.isfinite(self.first) and 1 <= self.first <= MOST_TOKENS):
            raise UsageError(f"a length of {self.first:g}; it must lie within 1 to {MOST_TOKENS}")
        if self.kind == "uniform" and not self.first <= self.second <= MOST_TOKENS:
            raise UsageError(f"lengths from {self.first:g} to {self.second:g}; write the smaller one first")
        if self.kind in {"normal", "lognormal"} and not (math.isfinite(self.second) and self.second >= 0):
            raise UsageError(f"a deviation of {self.second:g}; it must be 0 or more")

    def __str__(self) -> str:
        if self.kind == "choice":
            return "|".join(map(str, self.choices))
        if self.kind == "constant":
            return f"{self.first:g}"
        if self.kind == "uniform":
            return f"{self.first:g}..{self.second:g}"
        clipped = "" if (self.least, self.most) == (1, MOST_TOKENS) else f",{self.least}..{self.most}"
        return f"{self.kind}({self.first:g},{self.second:g}{clipped})"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """What is sent.

    Attributes:
        kind: `prompts` are the suite's own; `random` are words drawn at random; `shared-prefix` are groups of prompts
            that begin alike; `multi-turn` are conversations that grow; `trace` are the lengths of recorded traffic.
        input: Tokens of a prompt: behind the prefix of a `shared-prefix`, of each turn of a `multi-turn`.
        output: Tokens of an answer; None for the measurement's `max_tokens`.
        seed: Of all that is drawn.
        groups: Prefixes of a `shared-prefix`.
        prefix: Tokens of what prompts have in common: of a group, or of all conversations (0 for nothing).
        turns: Requests of a conversation.
        together: Conversations that go on at once, of whose requests one follows the other in turn.
        path: The recorded traffic.
        within: Where what a suite names has to lie; None for what the user named.
        speed: 2 replays twice as fast as it was recorded.
        unit: Of a trace's times; None for ms in Mooncake's form and s in BurstGPT's.
        block: Tokens for which a trace's `hash_ids` stand, each.
        max_input: Longer prompts of a trace are cut to this.
        max_output: Longer answers of a trace are cut to this.
        tokenizer: A `tokenizer.json`, by which prompts have exactly as many tokens as asked; without one they have as
            many words.
        where: Names it in messages.
    """

    kind: WorkloadKind = "prompts"
    input: TokenLengths | None = None
    output: TokenLengths | None = None
    seed: int = 0
    groups: int = 0
    prefix: int = 0
    turns: int = 0
    together: int = 8
    path: Path | None = None
    within: Reach | None = None
    speed: float = 1.0
    unit: Literal["s", "ms"] | None = None
    block: int = 512
    max_input: int | None = None
    max_output: int | None = None
    tokenizer: Path | None = None
    where: str = "workload"


OWN_PROMPTS: Final = WorkloadSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevels:
    """What a request must meet to count for goodput, in ms; None where there is no limit.

    Raises:
        UsageError: If there is no limit at all, or one is not a positive number.
    """

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2el_ms: float | None = None

    def __post_init__(self) -> None:
        limits = self.limits.values()
        if not limits or not all(math.isfinite(limit) and limit > 0 for limit in limits):
            raise UsageError(
                f"service levels must be positive numbers, at least one: {self}",
                where="goodput",
                fix="Write for example ttft_ms: 500",
            )

    @property
    def limits(self) -> Mapping[str, float]:
        """Those that there are, by name."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}


LEVEL_NAMES: Final = tuple(field.name for field in fields(ServiceLevels))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """The serving measurement that a suite or a user asks for.

    Attributes:
        concurrency: Requests in flight of a closed loop; in an open one the most that may be, 0 for any number.
        requests: Requests of one run.
        max_tokens: Tokens of an answer, where the workload says nothing else.
        warmup: Requests before those that are measured.
        pairs: Pairs of runs, candidate and champion, where figures gate.
        levels: Service levels of goodput, None without.
        workload: What is sent.
        arrivals: When.
        gates: The figures that are tested, those that are only watched included; empty if serving is measured once
            and shown.
    """

    concurrency: int = 8
    requests: int = 64
    max_tokens: int = 64
    warmup: int = 4
    pairs: int = DEFAULT_PAIRS
    levels: ServiceLevels | None = None
    workload: WorkloadSpec = OWN_PROMPTS
    arrivals: Arrivals = CLOSED_LOOP
    gates: tuple[ServingPolicy, ...] = ()
