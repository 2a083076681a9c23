"""From downloaded files to evidence: read who was measured, take the decision again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError, PromotionRefusedError, RecordError
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.types import Decision
from llmgate.promote.target import PromotionEvidence, RecordIdentity
from llmgate.record.disk import decoded, read_bytes
from llmgate.record.run.files import file_digest
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.promote.target import EvidenceFiles

__all__ = ["Redecide", "SourceDigest", "evidence_digest", "read_decision", "read_evidence", "read_identity"]

Redecide = Callable[..., Decision]
"""Takes the two folders, and `in_round` where the candidate was decided with others."""
"""Takes the decision from two record folders, with the policy in the candidate's manifest."""
SourceDigest = Callable[[str], str | None]
"""SHA-256 over the files at a version's source, None where they cannot be reached from here."""


def evidence_digest(files: EvidenceFiles) -> str:
    """SHA-256 over the paths and bytes of all files of both records and the decision."""
    root = files.decision.parent
    folders = [folder for folder in (files.candidate, files.baseline) if folder is not None]
    paths = [files.decision, *(path for folder in folders for path in folder.rglob("*") if path.is_file())]
    listed = sorted((path.relative_to(root).as_posix(), file_digest(path)) for path in paths)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def read_identity(folder: Path) -> RecordIdentity:
    """Who was measured, once the record has been held against its seal.

    Raises:
        RecordError: If it is unfinished, damaged, changed after sealing, or of an unknown major version.
    """
    record = load_record(folder)
    if record.seal is None:
        raise RecordError("this run is unfinished", where=str(folder))
    return RecordIdentity(manifest=record.manifest, seal=record.seal)


def read_evidence(
    files: EvidenceFiles, *, redecide: Redecide, source: str, source_digest: SourceDigest
) -> PromotionEvidence:
    """Read what was downloaded and take the decision again.

    Args:
        files: The gate run's files.
        redecide: Takes the decision.
        source: The source of the version that wants the alias.
        source_digest: Hashes the files there, where they can be reached.

    Raises:
        PromotionRefusedError: If the files cannot be read or decided on; such a version has no verdict.
    """
    try:
        claimed = read_decision(files.decision)
        return PromotionEvidence(
            run=files.run,
            where=files.where,
            subject=files.subject,
            ended_at=files.ended_at,
            candidate=read_identity(files.candidate),
            baseline=read_identity(files.baseline) if files.baseline is not None else None,
            claimed=claimed,
            # Where it was decided as one of several candidates, it is decided again at its place among them.
            decision=redecide(files.candidate, files.baseline)
            if claimed.round is None
            else redecide(files.candidate, files.baseline, in_round=claimed.round),
            source_digest=source_digest(source),
        )
    except LlmgateError as error:
        # The files lie in a temporary folder that will be gone when the message is read.
        where = (error.where or "").replace(f"{files.decision.parent}/", "")
        problem = f"{where}: {error.what}" if where else error.what
        raise PromotionRefusedError(
            f"the verdict cannot be taken again from {files.where} ({problem}), run the gate again on this version"
        ) from error


def read_decision(path: Path) -> Decision:
    """The decision as it was stored.

    Raises:
        RecordError: If the file is missing, is no decision, or is of an unknown major version.
    """
    text = decoded(read_bytes(path), str(path), fix="Run the gate again")
    try:
        return decision_from_json(text)
    except RecordError as error:
        raise RecordError(f"is no decision, {error.what}", where=str(path), fix=error.fix) from error
