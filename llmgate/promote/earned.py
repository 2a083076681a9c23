"""The evidence that earned an alias: copied when the alias is set, and all that later candidates are compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError, PromotionRefusedError
from llmgate.gate.decision.types import Verdict
from llmgate.promote import tags
from llmgate.promote.evidence import evidence_digest, read_decision, read_identity
from llmgate.promote.target import EvidenceFiles, RecordIdentity
from llmgate.promote.version_binding import binding_problem, recreated_problem

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.promote.target import PromotionTarget, VersionFacts

__all__ = ["Earned", "keep_evidence", "read_earned"]

POINTER = re.compile(r"(?P<run>\S+) sha256:(?P<digest>[0-9a-f]{64})")
MEND = "restore it, or remove the alias and promote a version anew, judged by thresholds (min:)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What earned a version its alias, as it was then.

    Attributes:
        files: Where it was downloaded to.
        record: The version's own record in it.
        digest: Over all of it.
    """

    files: EvidenceFiles
    record: RecordIdentity
    digest: str


def keep_evidence(target: PromotionTarget, version: VersionFacts, alias: str, files: EvidenceFiles) -> dict[str, str]:
    """Copy the evidence.

    Returns:
        The tag that points from the version to the copy.
    """
    return {earned_tag(alias): f"{target.keep(version, alias, files)} sha256:{evidence_digest(files)}"}


def read_earned(target: PromotionTarget, holder: VersionFacts, alias: str, into: Path) -> Earned | None:
    """What earned the holder of an alias its place.

    Args:
        target: The registry.
        holder: Who holds the alias.
        alias: The alias.
        into: An empty folder.

    Returns:
        The evidence, or None if it was not kept: an older llmgate set the alias, or something else did.

    Raises:
        PromotionRefusedError: If it is gone, differs from its digest, or is about something else.
        CannotRunError: If the registry cannot be reached.
    """
    pointer = holder.tags.get(earned_tag(alias))
    if pointer is None:
        return None
    what = f"the evidence that earned {holder.uri} the alias {alias!r}"
    match = POINTER.fullmatch(pointer)
    if match is None:
        raise PromotionRefusedError(f"the tag that leads to {what} was altered, {MEND}")
    try:
        files = target.evidence(holder, into, kept=match["run"])
        if files is None or evidence_digest(files) != match["digest"]:
            raise PromotionRefusedError(f"{what} was altered, {MEND}")
        record = read_identity(files.candidate)
        verdict = read_decision(files.decision).verdict
    except PromotionRefusedError:
        raise
    except LlmgateError as error:
        raise PromotionRefusedError(f"{what} cannot be read ({error.what}), {MEND}") from error
    problem = binding_problem(holder, files.subject, record) or recreated_problem(holder, record, files.ended_at)
    if verdict is not Verdict.PASS:
        problem = f"its verdict is {verdict}"
    if problem:
        raise PromotionRefusedError(f"{what} does not belong to it ({problem}), {MEND}")
    return Earned(files=files, record=record, digest=match["digest"])


def earned_tag(alias: str) -> str:
    """Which tag of a version leads to what earned it this alias."""
    return f"{tags.EARNED}/{alias}"
