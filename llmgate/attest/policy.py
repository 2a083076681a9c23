"""What a registry asks for: whose signatures count, and which names are protected. Read from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from llmgate.attest.keys import PublicKey, public_key
from llmgate.attest.names import PATTERN, exactly, look_alike, matches
from llmgate.attest.tags import STAGE
from llmgate.errors import LlmgateError, PolicyError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.attest.statement import SuiteFacts

__all__ = [
    "POLICY_VARIABLE",
    "KeyRole",
    "Protection",
    "RegistryPolicy",
    "Rollback",
    "TrustedKey",
    "load_policy",
    "parse_policy",
]

POLICY_VARIABLE: Final = "LLMGATE_REGISTRY_POLICY"
"""Environment variable: the policy file of a gated server."""
MAX_BYTES: Final = 1_000_000
DAYS: Final = {"h": 1 / 24, "d": 1.0, "w": 7.0}


class KeyRole(StrEnum):
    """What a key may sign."""

    GATE = "gate"
    BOOTSTRAP = "bootstrap"
    OVERRIDE = "override"


class Rollback(StrEnum):
    """To which earlier champions the alias may go back without a new verdict."""

    PREVIOUS = "previous"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A key that the registry believes.

    Attributes:
        name: For people.
        roles: What it may sign.
        models: Patterns of the models that it may sign for.
        not_before: From when on, None for always.
        not_after: Until when, None for ever. A key beyond it verifies nothing, whatever time is signed.
    """

    name: str
    key: PublicKey
    roles: frozenset[KeyRole]
    models: tuple[str, ...] = ("*",)
    not_before: datetime | None = None
    not_after: datetime | None = None

    def trusted(self, model: str, now: datetime) -> bool:
        """Whether it may sign for this model at this time."""
        begun = self.not_before is None or self.not_before <= now
        ended = self.not_after is not None and now >= self.not_after
        return begun and not ended and any(exactly(pattern, model) for pattern in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What protects the models of some names.

    Attributes:
        models: Patterns, compared with folded names.
        aliases: Patterns of the aliases that need a verdict.
        stages: The stages that need one.
        suites: Suites that a verdict must have asked, by name, with a pattern of their version.
        max_age: How long after it was given a verdict promotes.
        weights: Whether the subject has to be weights that were served; else answers of an endpoint will do.
        weaker_policy: Whether a verdict counts whose policy asks for less than the one that the champion was held to.
        rollback: To which earlier champions the alias may go back.
    """

    models: tuple[str, ...]
    aliases: tuple[str, ...]
    stages: tuple[str, ...] = ()
    suites: Mapping[str, str]
    max_age: timedelta
    weights: bool = True
    weaker_policy: bool = False
    rollback: Rollback = Rollback.PREVIOUS

    def protects(self, alias: str) -> bool:
        """Whether an alias, or `stage:NAME`, needs a verdict, be it for what it looks like."""
        if alias.startswith(STAGE):
            return any(matches(stage, alias.removeprefix(STAGE)) for stage in self.stages)
        return any(matches(pattern, alias) for pattern in self.aliases)

    def look_alike(self, alias: str) -> str | None:
        """The protected alias that this one only looks like, None if it is one, or looks like none."""
        return look_alike(alias, self.aliases)

    def missing(self, suites: tuple[SuiteFacts, ...]) -> tuple[str, ...]:
        """The required suites that were not asked, worded."""
        return tuple(
            f"{name}@{version}"
            for name, version in self.suites.items()
            if not any(suite.name == name and exactly(version, suite.version) for suite in suites)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPolicy:
    """The policy of one registry.

    Attributes:
        registry: The id that every verdict for it names.
        ledger: Database of the ledger where the registry's own cannot hold it, None otherwise.
        keys: Whose signatures count.
        rules: In order; the first that fits a model's name applies.
        where: The file.
    """

    registry: str
    ledger: str | None
    keys: tuple[TrustedKey, ...]
    rules: tuple[Protection, ...]
    where: str

    def rule_for(self, model: str) -> Protection | None:
        """What protects a model, None if nothing does."""
        return next((rule for rule in self.rules if any(matches(p, model) for p in rule.models)), None)


def age(value: Any) -> Any:
    """`30d`, `12h` or `2w` as a time span."""
    if isinstance(value, str) and value[:-1].isdecimal() and value[-1] in DAYS and int(value[:-1]) > 0:
        return timedelta(days=int(value[:-1]) * DAYS[value[-1]])
    raise ValueError("write an age as 30d, 12h or 2w")


def instant(value: Any) -> Any:
    """A date, or a time with a zone; a date means its first moment in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs a zone, such as 2026-01-01T00:00:00Z")
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError("write a date as 2026-01-01")


Age = Annotated[timedelta, BeforeValidator(age)]
Instant = Annotated[datetime, BeforeValidator(instant)]
Name = Annotated[str, StringConstraints(min_length=1, strict=True)]
Pattern = Annotated[str, StringConstraints(min_length=1, strict=True, pattern=rf"^{PATTERN.pattern}$")]


class RegistryPart(BaseModel):
    """A part of the file, in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyPart(RegistryPart):
    """One key."""

    file: Name | None = None
    pem: Name | None = None
    roles: list[KeyRole] = Field(min_length=1)
    models: list[Pattern] = Field(default=["*"], min_length=1)
    not_before: Instant | None = None
    not_after: Instant | None = None

    @model_validator(mode="after")
    def one_source(self) -> KeyPart:
        """It is in a file or here."""
        if (self.file is None) == (self.pem is None):
            raise ValueError("give `file` or `pem`")
        return self


class RulePart(RegistryPart):
    """One rule."""

    models: list[Pattern] = Field(min_length=1)
    aliases: list[Pattern] = Field(default=["champion"])
    stages: list[Pattern] = []
    suites: dict[Name, Pattern] = Field(min_length=1)
    max_age: Age = timedelta(days=30)
    binding: Literal["weights", "claimed"] = "weights"
    weaker_policy: Literal["refuse", "allow"] = "refuse"
    rollback: Rollback = Rollback.PREVIOUS

    @model_validator(mode="after")
    def something(self) -> RulePart:
        """It protects something."""
        if not self.aliases and not self.stages:
            raise ValueError("a rule without aliases and stages protects nothing")
        return self


class RegistryPolicyPart(RegistryPart):
    """The file."""

    version: Literal[1]
    registry: Name
    ledger: Name | None = None
    keys: dict[Name, KeyPart] = Field(min_length=1)
    protect: list[RulePart] = Field(min_length=1)


class OnceLoader(yaml.SafeLoader):
    """YAML in which no key stands twice: the second would quietly replace a protection."""


def mapping_once(loader: OnceLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping without repeated keys."""
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


OnceLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping_once)


def load_policy(path: Path) -> RegistryPolicy:
    """Read a policy file.

    Raises:
        PolicyError: If it cannot be read, or says anything that is unknown or impossible.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise PolicyError(f"a policy has at most {MAX_BYTES:,} bytes", where=str(path))
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise PolicyError(f"the registry's policy cannot be read ({reason})", where=str(path)) from error
    return parse_policy(text, where=str(path), folder=path.parent)


def parse_policy(text: str, *, where: str, folder: Path) -> RegistryPolicy:
    """Read a policy.

    Args:
        text: YAML.
        where: For messages.
        folder: Where the files of keys are.

    Raises:
        PolicyError: If it says anything that is unknown or impossible.
    """
    try:
        part = RegistryPolicyPart.model_validate(yaml.load(text, Loader=OnceLoader))  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PolicyError(f"the registry's policy is no YAML: {error}", where=where) from error
    except ValidationError as error:
        raise PolicyError("; ".join(map(worded, error.errors())), where=where) from error
    keys = tuple(read_key(name, key, folder, where) for name, key in part.keys.items())
    ids = [key.key.keyid for key in keys]
    if len(set(ids)) != len(ids):
        raise PolicyError("one key stands under two names", where=f"{where}: keys", fix="Give it all its roles once")
    return RegistryPolicy(
        registry=part.registry,
        ledger=part.ledger,
        keys=keys,
        rules=tuple(
            Protection(
                models=tuple(rule.models),
                aliases=tuple(rule.aliases),
                stages=tuple(rule.stages),
                suites=rule.suites,
                max_age=rule.max_age,
                weights=rule.binding == "weights",
                weaker_policy=rule.weaker_policy == "allow",
                rollback=rule.rollback,
            )
            for rule in part.protect
        ),
        where=where,
    )


def read_key(name: str, part: KeyPart, folder: Path, where: str) -> TrustedKey:
    """A key with its file."""
    place = f"{where}: keys.{name}"
    try:
        key = public_key(part.pem or (folder / (part.file or "")).read_text(encoding="utf-8"), where=place)
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the key's file {part.file!r} cannot be read", where=place) from error
    except LlmgateError as error:
        raise PolicyError(error.what, where=place, fix=error.fix) from error
    return TrustedKey(
        name=name,
        key=key,
        roles=frozenset(part.roles),
        models=tuple(part.models),
        not_before=part.not_before,
        not_after=part.not_after,
    )


def worded(problem: Any) -> str:
    """One of pydantic's problems: where, and what."""
    place = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        known = {1: RegistryPolicyPart, 3: KeyPart if problem["loc"][0] == "keys" else RulePart}
        part = known.get(len(problem["loc"]))
        return f"{place}: unknown key" + (f". {did_you_mean(name, part.model_fields)}" if part else "")
    return f"{place or 'the file'}: {str(problem['msg']).removeprefix('Value error, ')}"
