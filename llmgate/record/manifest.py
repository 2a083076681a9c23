"""What a run was: who answered, who judged, what was asked, where and when. Written before the first request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from llmgate.record.answered_by import Names, OnlyIfTrue, Said
from llmgate.record.judges.admission import AdmissionRecord
from llmgate.record.judges.identity import JudgedAssert, JudgeIdentity
from llmgate.record.looks import LookPlan
from llmgate.record.policy import Binding, Policy

__all__ = [
    "ALONE",
    "FOR_COMPARISON",
    "FOR_PROMOTION",
    "RECORD_MAJOR",
    "RECORD_MINOR",
    "Hardware",
    "InFlight",
    "JudgeIdentity",
    "Manifest",
    "MaybeInFlight",
    "ModelIdentity",
    "ServerIdentity",
    "Shard",
    "SuiteIdentity",
    "adapted_digest",
]

RECORD_MAJOR = 1
"""Readers refuse a record with another major version."""
RECORD_MINOR = 1
"""Readers ignore what a newer minor version added."""
FOR_COMPARISON = "baseline"
"""Made to be compared with: nobody chose it for its result."""
FOR_PROMOTION = "candidate"
"""Made to be compared with a champion: it becomes the champion's run if it passes."""
ALONE = "alone"
"""Made without a champion, to be held to thresholds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model answered.

    Attributes:
        name: The name that requests use.
        source: Model folder, another place that models come from, or endpoint URL, as given.
        weights_digest: SHA-256 over the model folder's file manifest; None when only an endpoint is known.
        registry_uri: For example `models:/support-bot/7`, where the run was started for a registered version.
        binding: What tied the run to that version when it started; None where there is none, or nobody looked.
        base: Of an adapter: the digest of the model that it was served on, "" for a whole model. `weights_digest` is
            then the digest of both.
        adapter: Of an adapter: the digest of its folder alone.
        revision: What the source was pinned to when the run began: a commit of the hub, a version in MLflow with its
            run, the digest of a list of objects. "" for a folder or an endpoint, and in older records.
    """

    name: str
    source: str
    weights_digest: str | None = None
    registry_uri: str | None = None
    binding: Binding | None = None
    base: Said = ""
    adapter: Said = ""
    revision: Said = ""

    def held_by(self, digest: str) -> bool:
        """Whether a folder holds what was measured: the whole model, or the adapter that was served on its base.

        Args:
            digest: Of the folder.
        """
        if digest == self.weights_digest:
            return True
        return digest == self.adapter != "" and self.weights_digest == adapted_digest(self.base, digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What served it. `owned` is whether llmgate started it.

    Attributes:
        model_names: The names by which replies may call the model: the one asked for, others that the endpoint lists
            for the same model, and those that the user vouched for. Empty in older records.
        deployment: What the user calls this deployment, "" for nothing.
        replicas: URLs of further servers of the same model that were asked as well.
        unconfirmed: Why nothing but its answers confirms the model's name: what the endpoint says in place of a list
            of models. "" if it lists the model, or llmgate started it.
    """

    engine: str
    version: str | None = None
    owned: bool
    flags: tuple[str, ...] = ()
    url: str = ""
    model_names: Names = ()
    deployment: Said = ""
    unconfirmed: Said = ""
    replicas: Names = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteIdentity:
    """Which questions were asked. `digest` covers prompt, sampling, asserts and dataset, not the gate policy."""

    name: str
    version: str
    digest: str
    path: str
    dataset_version: str
    dataset_digest: str
    cases: int
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Where it ran."""

    cpu: str
    cores: int
    memory_gib: float
    gpus: tuple[str, ...] = ()
    driver: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Which part of its cases a run asked; a part decides nothing (see `record.order.shard_cases`).

    Attributes:
        index: Its number, from 1.
        of: How many parts there are.

    Raises:
        ValueError: If there is no such part.
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.of:
            raise ValueError(f"there is no part {self.index} of {self.of}")

    @property
    def name(self) -> str:
        """As options write it: `2/8`."""
        return f"{self.index}/{self.of}"


MaybeShard = Annotated[Shard | None, Field(exclude_if=lambda value: value is None)]
"""Left out of files where it is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """Requests in flight, where the number followed the server; of a run that was resumed, in its last part.

    Attributes:
        by: What it followed: `metrics` of the server, or its `answers`.
        limit: How many could be in flight in the end.
        most: The most that were.
    """

    by: str
    limit: int
    most: int


MaybeInFlight = Annotated[InFlight | None, Field(exclude_if=lambda value: value is None)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Identities, digests, versions, hardware and seeds of one run; written before the first request."""

    run_id: str
    created_at: str
    """UTC, ISO 8601."""
    llmgate_version: str
    model: ModelIdentity
    server: ServerIdentity
    judge: JudgeIdentity | None = None
    judges: Mapping[str, JudgeIdentity] = field(default_factory=dict)
    """Further judges by the names that suites give them, such as the members of a panel."""
    judging: tuple[JudgedAssert, ...] = ()
    """The asserts that ask judges."""
    admissions: tuple[AdmissionRecord, ...] = ()
    """What was named as proof that judges may gate."""
    embedding: ModelIdentity | None = None
    """The embedding model, where asserts needed one."""
    local_models: Mapping[str, str] = field(default_factory=dict)
    """The models on the machine that asserts asked, as suites name them, with the digests of their weights."""
    anchors: str = ""
    """SHA-256 over the file of anchors that judges have to judge again, "" for none."""
    suites: tuple[SuiteIdentity, ...]
    cases_digest: str
    policy: Policy
    hardware: Hardware
    packages: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    concurrency: int
    adaptive: OnlyIfTrue = False
    """Whether `concurrency` is the most, and the number followed the server; the seal says what it came to."""
    cache: Said = ""
    """The folder out of which answers may have come, "" for none; each answer says whether it did."""
    looks: tuple[LookPlan, ...] = ()
    """When the suites that may stop early look at their results."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Free facts for the reader: git commit, branch, CI run."""
    round: Said = ""
    """The round of several candidates that the run was declared one of, "" for none."""
    shard: MaybeShard = None
    """Which part of the cases was asked; None for all. `cases.jsonl` lists all of them in either case."""
    made_for: Said = ""
    """`FOR_COMPARISON`, `FOR_PROMOTION` or `ALONE`; "" in older records."""
    beside: Said = ""
    """Run id of the champion's run that was asked beside this one, "" for none."""
    major: int = RECORD_MAJOR
    minor: int = RECORD_MINOR

    @property
    def self_judges(self) -> tuple[str, ...]:
        """Names of the judges that are the model under test itself, which tends to favour its own answers.

        The weights decide where both are known. Otherwise it is the same model if it goes by the same name at the
        same place; nothing is said about one model that is served twice.

        Reference: Panickssery et al. (2024), LLM Evaluators Recognize and Favor Their Own Generations, arXiv
        2404.13076.
        """
        judges = {"": self.judge, **self.judges}
        return tuple(
            name or judge.model
            for name, judge in judges.items()
            if judge is not None
            and (
                judge.weights_digest == self.model.weights_digest
                if judge.weights_digest and self.model.weights_digest
                else (judge.model, judge.source.rstrip("/")) == (self.model.name, self.model.source.rstrip("/"))
            )
        )


def adapted_digest(base: str, adapter: str) -> str:
    """The one digest of a base and an adapter on it, 64 hexadecimal digits.

    Args:
        base: The digest of the base's folder.
        adapter: That of the adapter's.
    """
    return hashlib.sha256(f"{base}\n{adapter}\n".encode()).hexdigest()
