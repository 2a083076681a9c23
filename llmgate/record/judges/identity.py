"""Who judges: identities of judges, and what they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["JudgeIdentity", "JudgedAssert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeIdentity:
    """Which judge scored: model, prompt and sampling. Two runs with different judges are not comparable."""

    model: str
    prompt_digest: str
    sampling: Mapping[str, float | int | str]
    weights_digest: str | None = None
    source: str = ""
    """Its folder or endpoint, for readers; the same judge may be reached in two ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAssert:
    """One assert of a run that asks a judge, so that its judge can be held against an admission.

    Attributes:
        suite: Suite name.
        metric: A metric that it feeds.
        type: Base type.
        criterion: What it wants as written, for readers.
        assert_digest: SHA-256 over what it asks; "" where there are too many criteria to name.
        prompt_digest: SHA-256 over the prompts of this type alone.
        judges: The names that it gives to its judges; empty for the only one.
    """

    suite: str
    metric: str
    type: str
    criterion: str
    assert_digest: str
    prompt_digest: str
    judges: tuple[str, ...] = ()
