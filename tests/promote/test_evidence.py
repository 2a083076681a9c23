from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.promotions import digest_of, make_manifest, redecide, store_decision, write_record

from llmgate.errors import EndpointError, PromotionRefusedError
from llmgate.promote.evidence import evidence_digest, read_evidence
from llmgate.promote.target import EvidenceFiles

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.promote.target import PromotionEvidence


@pytest.fixture
def files(tmp_path: Path) -> EvidenceFiles:
    record = write_record(tmp_path / "record", make_manifest("run-1", registry_uri="models:/bot/1"))
    return EvidenceFiles(
        run="abc",
        where="MLflow run abc",
        subject="models:/bot/1",
        ended_at=datetime.now(UTC),
        candidate=record,
        baseline=None,
        decision=store_decision(tmp_path, redecide(record, None)),
    )


def read(files: EvidenceFiles) -> PromotionEvidence:
    return read_evidence(files, redecide=redecide, source="s3://bucket/1", source_digest=lambda _: None)


def test_what_lies_there_is_read_and_decided_again(files: EvidenceFiles) -> None:
    proof = read(files)
    assert proof.claimed == proof.decision == redecide(files.candidate, None)
    assert proof.candidate.manifest.model.weights_digest == digest_of("weights")
    assert proof.baseline is None
    assert proof.source_digest is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is no decision, not JSON"),
        (b"{}", "is no decision, major version None"),
        (b'{"verdict": "PASS"}', "is no decision, major version None"),
        (b'{"major": 2, "verdict": "PASS"}', "is no decision, major version 2"),
        (b'{"major": 1, "verdict": "pass"}', "is no decision, verdict"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_decision_that_is_none_is_no_verdict(files: EvidenceFiles, content: bytes | None, problem: str) -> None:
    if content is None:
        files.decision.unlink()
    else:
        files.decision.write_bytes(content)
    with pytest.raises(PromotionRefusedError, match=rf"from MLflow run abc \(decision.json: {problem}.*run the gate"):
        read(files)


@pytest.mark.parametrize("name", ["manifest.json", "cases.jsonl", "journal.jsonl", "seal.json"])
def test_a_record_with_a_file_gone_or_changed_is_no_verdict(files: EvidenceFiles, name: str) -> None:
    path = files.candidate / name
    path.write_bytes(path.read_bytes() + b"\n{}")
    with pytest.raises(PromotionRefusedError, match=f"record/{name}") as caught:
        read(files)
    assert str(files.candidate) not in str(caught.value)
    path.unlink()
    with pytest.raises(PromotionRefusedError, match="cannot be taken again"):
        read(files)


@pytest.mark.parametrize("kept", [(), ("cases.jsonl",), ("manifest.json",)])
def test_a_manifest_that_is_not_under_the_seal_is_no_verdict(files: EvidenceFiles, kept: tuple[str, ...]) -> None:
    path = files.candidate / "seal.json"
    seal = json.loads(path.read_bytes())
    seal["files"] = {name: digest for name, digest in seal["files"].items() if name in kept}
    path.write_text(json.dumps(seal), encoding="utf-8")
    with pytest.raises(PromotionRefusedError, match=r"record/seal\.json: .* is missing from the seal's list"):
        read(files)


def test_a_missing_baseline_folder_is_no_verdict(files: EvidenceFiles, tmp_path: Path) -> None:
    with pytest.raises(PromotionRefusedError, match=r"\(baseline: there is no run here\)"):
        read(replace(files, baseline=tmp_path / "baseline"))


def test_files_that_cannot_be_hashed_are_no_proof(files: EvidenceFiles) -> None:
    def broken(source: str) -> str:
        raise EndpointError("the bucket does not answer", where=source)

    with pytest.raises(PromotionRefusedError, match="s3://bucket/1: the bucket does not answer"):
        read_evidence(files, redecide=redecide, source="s3://bucket/1", source_digest=broken)


def test_the_digest_covers_every_byte_and_every_name(files: EvidenceFiles) -> None:
    before = evidence_digest(files)
    assert evidence_digest(files) == before
    seen = {before}
    for path in (files.decision, files.candidate / "manifest.json", files.candidate / "journal.jsonl"):
        path.write_bytes(path.read_bytes() + b" ")
        seen.add(evidence_digest(files))
    (files.candidate / "further").touch()
    seen.add(evidence_digest(files))
    (files.candidate / "further").rename(files.candidate / "renamed")
    seen.add(evidence_digest(files))
    assert len(seen) == 6
