"""The evidence that earned an alias: copied when the alias is set, and all that later candidates are compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError, PromotionRefusedError
from llmgate.gate.decision.types import Verdict
from llmgate.promote import tags
from llmgate.promote.attached import attached_verdicts, held_by
from llmgate.promote.evidence import evidence_digest, read_decision, read_identity
from llmgate.promote.target import EvidenceFiles, RecordIdentity
from llmgate.promote.version_binding import binding_problem, recreated_problem
from llmgate.record.run.files import file_digest
from llmgate.record.run.loading import record_digest

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.attest.statement import VerdictStatement
    from llmgate.promote.target import PromotionTarget, VersionFacts

__all__ = ["Earned", "differs", "keep_evidence", "read_earned", "short"]

POINTER = re.compile(r"(?P<run>\S+) sha256:(?P<digest>[0-9a-f]{64})")
MEND = "restore it, or remove the alias and promote a version anew, judged by thresholds (min:)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What earned a version its alias, as it was then.

    Attributes:
        files: Where it was downloaded to.
        record: The version's own record in it.
        digest: Over all of it.
        signed: Whether a signed verdict names the record.
    """

    files: EvidenceFiles
    record: RecordIdentity
    digest: str
    signed: bool = False


def keep_evidence(target: PromotionTarget, version: VersionFacts, alias: str, files: EvidenceFiles) -> dict[str, str]:
    """Copy the evidence.

    Returns:
        The tag that points from the version to the copy.
    """
    return {earned_tag(alias): f"{target.keep(version, alias, files)} sha256:{evidence_digest(files)}"}


def read_earned(target: PromotionTarget, holder: VersionFacts, alias: str, into: Path) -> Earned | None:
    """What earned the holder of an alias its place: the record that its verdict was signed for, or a kept copy.

    Args:
        target: The registry.
        holder: Who holds the alias.
        alias: The alias.
        into: An empty folder.

    Returns:
        The evidence, or None if there is no verdict and no copy: an older llmgate set the alias, or something else did.

    Raises:
        PromotionRefusedError: If it is gone, differs from its digest, or is about something else.
        CannotRunError: If the registry cannot be reached.
    """
    pointer = holder.tags.get(earned_tag(alias))
    mirror = target.mirror(holder.name, alias)
    held = held_by(holder, alias, mirror)
    what = f"the evidence that earned {holder.uri} the alias {alias!r}"
    if held.digest is not None and held.attached is None:
        raise PromotionRefusedError(
            f"the verdict {short(held.digest)} by which {holder.uri} holds {alias!r} is not in its tags, {MEND}"
        )
    # Without a ledger nothing but the copy says which of several verdicts it was.
    if held.attached is not None and (pointer is None or mirror is not None):
        return replace(by_verdict(target, holder, held.attached.verdict, alias, into), signed=True)
    if pointer is None:
        return None
    match = POINTER.fullmatch(pointer)
    if match is None:
        raise PromotionRefusedError(f"the tag that leads to {what} was altered, {MEND}")
    try:
        files = target.evidence(holder, into, kept=match["run"])
        if files is None or evidence_digest(files) != match["digest"]:
            raise PromotionRefusedError(f"{what} was altered, {MEND}")
        record = read_identity(files.candidate)
        signed = [
            one.verdict
            for one in attached_verdicts(holder, alias)
            if one.verdict.predicate.get("run") == record.manifest.run_id
        ]
        if any(differs(files, verdict) for verdict in signed):
            raise PromotionRefusedError(f"{what} is not what its verdict was signed for, {MEND}")
        return replace(checked(holder, files, what), signed=bool(signed) or mirror is not None)
    except PromotionRefusedError:
        raise
    except LlmgateError as error:
        raise PromotionRefusedError(f"{what} cannot be read ({error.what}), {MEND}") from error


def by_verdict(
    target: PromotionTarget, holder: VersionFacts, verdict: VerdictStatement, alias: str, into: Path
) -> Earned:
    """The record that a signed verdict names, from the copy that was kept or from a gate run.

    Raises:
        PromotionRefusedError: If none of them is that record.
    """
    what = f"the evidence that earned {holder.uri} the alias {alias!r}"
    match = POINTER.fullmatch(holder.tags.get(earned_tag(alias), ""))
    runs = [match["run"]] if match else []
    if verdict.kind == "gate":
        runs += target.runs_of(holder, str(verdict.predicate.get("run")))
    elif (named := holder.tags.get(tags.EVIDENCE)) is not None:
        runs.append(named)
    problems = []
    for number, run in enumerate(dict.fromkeys(runs)):
        try:
            files = target.evidence(holder, into / str(number), kept=run)
            if files is None:
                continue
            if problem := differs(files, verdict):
                problems.append(f"{files.where}: {problem}")
                continue
            return checked(holder, files, what, overridden=verdict.kind == "override")
        except LlmgateError as error:
            problems.append(error.what)
    found = f" ({'; '.join(problems)})" if problems else ""
    raise PromotionRefusedError(
        f"{what} cannot be had: no run holds what the verdict {short(verdict.digest)} was signed for{found}, {MEND}"
    )


def differs(files: EvidenceFiles, verdict: VerdictStatement) -> str | None:
    """How files differ from what a signed verdict names, None if they do not.

    Raises:
        LlmgateError: If they cannot be read.
    """
    if verdict.kind == "override":
        record = read_identity(files.candidate)
        held = record.manifest.model.weights_digest if verdict.subject_is == "weights" else record.seal.journal_digest
        return None if held == verdict.subject else "its record is of other weights than those that were overridden for"
    sides = {"candidate": files.candidate, "baseline": files.baseline}
    for name, folder in sides.items():
        if (record_digest(folder) if folder is not None else None) != verdict.records[name]:
            return f"the {name}'s record is not the one that was signed for"
    if file_digest(files.decision) != verdict.records["decision"]:
        return "the decision is not the one that was signed"
    return None


def checked(holder: VersionFacts, files: EvidenceFiles, what: str, *, overridden: bool = False) -> Earned:
    """Evidence that is about the version and lets it pass.

    Raises:
        PromotionRefusedError: If it is not.
        LlmgateError: If it cannot be read.
    """
    record = read_identity(files.candidate)
    verdict = read_decision(files.decision).verdict
    problem = binding_problem(holder, files.subject, record) or recreated_problem(holder, record, files.ended_at)
    if verdict is not Verdict.PASS and not overridden:
        problem = f"its verdict is {verdict}"
    if problem:
        raise PromotionRefusedError(f"{what} does not belong to it ({problem}), {MEND}")
    return Earned(files=files, record=record, digest=evidence_digest(files))


def short(digest: str) -> str:
    """So much of a digest as a reader compares."""
    return digest[:12]


def earned_tag(alias: str) -> str:
    """Which tag of a version leads to what earned it this alias."""
    return f"{tags.EARNED}/{alias}"
