"""A record is whole or it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import RecordError
from llmgate.record.disk import write_atomic
from llmgate.record.manifest import Hardware, JudgeIdentity, Manifest, ModelIdentity, ServerIdentity, SuiteIdentity
from llmgate.record.policy import MetricPolicy, Policy
from llmgate.record.redaction import Redactor
from llmgate.record.run.files import cases_digest, file_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir
from llmgate.record.schema import (
    CaseKey,
    CaseResult,
    CheckResult,
    Failure,
    FailureKind,
    Generation,
    Message,
    Outcome,
    PlannedCase,
)
from llmgate.record.serving.trace import RequestTrace, ServingTrace

if TYPE_CHECKING:
    from pathlib import Path

CASES = tuple(
    PlannedCase(
        suite="facts",
        case=f"case-{i}",
        repeats=2,
        slices={"topic": "geography"},
        messages=(Message(role="user", content=f"Question {i}?"),),
        request_digest=f"{i:064x}",
    )
    for i in range(3)
)


def manifest(**changes: object) -> Manifest:
    base = Manifest(
        run_id="20261123-120000-m",
        created_at="2026-11-23T12:00:00+00:00",
        llmgate_version="0.1.0",
        model=ModelIdentity(name="m", source="models/m", weights_digest="ab" * 32),
        server=ServerIdentity(engine="vllm", version="0.32.0", owned=True, flags=("--seed", "0")),
        suites=(
            SuiteIdentity(
                name="facts",
                version="1.0.0",
                digest="d",
                path="facts.yaml",
                dataset_version="1",
                dataset_digest="e",
                cases=3,
            ),
        ),
        cases_digest=cases_digest(CASES),
        policy=Policy(metrics=(MetricPolicy(suite="facts", metric="accuracy", margin=0.03),)),
        hardware=Hardware(cpu="x", cores=2, memory_gib=24.0),
        concurrency=32,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def result(case: PlannedCase, repeat: int) -> CaseResult:
    return CaseResult(
        key=CaseKey(suite=case.suite, case=case.case, repeat=repeat),
        answer=Generation(text="yes", latency_s=0.1),
        checks=(CheckResult(type="equals", outcome=Outcome.PASS, score=1.0),),
    )


TRACE = ServingTrace(
    name="facts",
    workload="w",
    workload_digest="f",
    concurrency=2,
    requests=(RequestTrace(index=0, queued_s=0.0, sent_s=0.1, token_events_s=(0.2, 0.3), end_s=0.4),),
    duration_s=0.4,
    client_cpu_s=0.01,
    client_version="1",
)


def sealed(path: Path) -> Path:
    run = RunDir.create(path, manifest(), CASES)
    for case in CASES:
        for repeat in range(2):
            run.append(result(case, repeat))
    run.add_serving(TRACE)
    run.seal(sealed_at="2026-11-23T12:05:00+00:00")
    return path


def test_a_sealed_record_is_read_back(tmp_path: Path) -> None:
    record = load_record(sealed(tmp_path / "run"))
    assert record.manifest == manifest()
    assert record.cases == CASES
    assert len(record.results) == 6
    assert record.serving == (TRACE,)
    assert record.seal is not None


@pytest.mark.parametrize("name", ["manifest.json", "cases.jsonl", "journal.jsonl", "serving-facts.json"])
def test_any_change_after_sealing_is_refused(tmp_path: Path, name: str) -> None:
    path = sealed(tmp_path / "run")
    data = (path / name).read_bytes()
    (path / name).write_bytes(data + b" ")
    with pytest.raises(RecordError, match=f"{name}: the file changed after the run was sealed"):
        load_record(path)
    (path / name).unlink()
    with pytest.raises(RecordError, match=name):
        load_record(path)


def test_deleting_a_journal_line_after_sealing_is_refused(tmp_path: Path) -> None:
    path = sealed(tmp_path / "run")
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for i in range(len(lines)):
        (path / "journal.jsonl").write_bytes(b"".join(lines[:i] + lines[i + 1 :]))
        with pytest.raises(RecordError, match="changed after the run was sealed"):
            load_record(path)


def test_a_measurement_added_after_sealing_is_refused(tmp_path: Path) -> None:
    path = sealed(tmp_path / "run")
    (path / "serving-better.json").write_bytes((path / "serving-facts.json").read_bytes())
    with pytest.raises(RecordError, match=r"serving-better\.json: this file was added"):
        load_record(path)


def test_a_seal_cannot_name_files_outside_the_folder(tmp_path: Path) -> None:
    path = sealed(tmp_path / "run")
    seal = (path / "seal.json").read_text(encoding="utf-8").replace('"cases.jsonl"', '"../cases.jsonl"')
    (path / "seal.json").write_text(seal, encoding="utf-8")
    (tmp_path / "cases.jsonl").write_bytes((path / "cases.jsonl").read_bytes())
    with pytest.raises(RecordError, match="missing"):
        load_record(path)


@pytest.mark.parametrize("name", ["manifest.json", "cases.jsonl"])
def test_a_seal_lists_what_the_decision_reads(tmp_path: Path, name: str) -> None:
    path = sealed(tmp_path / "run")
    seal = json.loads((path / "seal.json").read_bytes())
    del seal["files"][name]
    (path / "seal.json").write_text(json.dumps(seal), encoding="utf-8")
    with pytest.raises(RecordError, match=rf"seal\.json: {name} is missing from the seal's list"):
        load_record(path)


@pytest.mark.parametrize("name", ["notes.txt", "journal.jsonl", "seal.json", "../x", "serving-/../x.json", ""])
def test_a_seal_lists_files_of_a_record_only(tmp_path: Path, name: str) -> None:
    path = sealed(tmp_path / "run")
    seal = json.loads((path / "seal.json").read_bytes())
    seal["files"][name] = "0" * 64
    (path / "seal.json").write_text(json.dumps(seal), encoding="utf-8")
    with pytest.raises(RecordError, match="which is no file of a record"):
        load_record(path)


def test_a_seal_counts_the_results(tmp_path: Path) -> None:
    path = sealed(tmp_path / "run")
    seal = (path / "seal.json").read_text(encoding="utf-8").replace('"results": 6', '"results": 5')
    (path / "seal.json").write_text(seal, encoding="utf-8")
    with pytest.raises(RecordError, match="the seal counts 5 results, and the journal holds 6"):
        load_record(path)


def test_an_unfinished_run_cannot_be_decided_on_but_shown(tmp_path: Path) -> None:
    with RunDir.create(tmp_path / "run", manifest(), CASES) as run:
        run.append(result(CASES[0], 0))
    with pytest.raises(RecordError, match="unfinished.*--resume"):
        load_record(tmp_path / "run")
    assert len(load_record(tmp_path / "run", unfinished=True).results) == 1


def test_sealing_needs_a_result_for_every_planned_answer(tmp_path: Path) -> None:
    with RunDir.create(tmp_path / "run", manifest(), CASES) as run:
        run.append(result(CASES[0], 0))
        with pytest.raises(RecordError, match=r"5 of 6 planned answers are missing, the first is facts::case-0#1"):
            run.seal(sealed_at="now")


def test_resuming_goes_on_where_it_stopped_and_retries_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunDir.create(path, manifest(), CASES) as run:
        run.append(result(CASES[0], 0))
        run.append(
            CaseResult(
                key=CaseKey(suite="facts", case="case-0", repeat=1),
                answer=Failure(kind=FailureKind.SERVER_DIED, message="gone"),
            )
        )
    with RunDir.resume(path, manifest(), CASES) as run:
        assert [str(key) for key in run.missing()] == [
            "facts::case-0#1", "facts::case-1", "facts::case-1#1", "facts::case-2", "facts::case-2#1",
        ]  # fmt: skip
        for key in run.missing():
            run.append(result(next(c for c in CASES if c.case == key.case), key.repeat))
        assert run.seal(sealed_at="now").results.keys() == {
            CaseKey(suite="facts", case=c.case, repeat=k) for c in CASES for k in range(2)
        }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (
            {"model": ModelIdentity(name="m", source="models/m", weights_digest="cd" * 32)},
            "model weights digest was abab.* and is now cdcd",
        ),
        ({"model": ModelIdentity(name="m", source="models/m")}, "model weights digest was abab.* and is now not there"),
        (
            {"server": ServerIdentity(engine="vllm", version="0.33.0", owned=True, flags=("--seed", "0"))},
            r"server version was 0\.32\.0 and is now 0\.33\.0",
        ),
        (
            {"server": ServerIdentity(engine="vllm", version="0.32.0", owned=True, flags=("--seed", "1"))},
            "server flags 2 was 0 and is now 1",
        ),
        ({"seed": 1}, "seed was 0 and is now 1"),
        (
            {"policy": Policy(metrics=(MetricPolicy(suite="facts", metric="accuracy", margin=0.9),))},
            r"policy metrics 1 margin was 0\.03 and is now 0\.9",
        ),
        (
            {"judges": {"strict": JudgeIdentity(model="j", prompt_digest="p", sampling={})}},
            "judges strict was not there and is now j",
        ),
        ({"anchors": "ab" * 32}, "anchors was not there and is now abab"),
        ({"embedding": ModelIdentity(name="e", source="http://e/v1")}, "embedding was not there and is now e"),
    ],
)
def test_resuming_with_something_else_is_refused(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    RunDir.create(tmp_path / "run", manifest(), CASES).close()
    with pytest.raises(RecordError, match=f"cannot be resumed: {field}"):
        RunDir.resume(tmp_path / "run", manifest(**changes), CASES)


def test_resuming_with_other_cases_is_refused(tmp_path: Path) -> None:
    RunDir.create(tmp_path / "run", manifest(), CASES).close()
    with pytest.raises(RecordError, match=r"cannot be resumed: cases digest was \w+ and is now \w+"):
        RunDir.resume(tmp_path / "run", manifest(), CASES[1:])


def test_the_digest_of_the_cases_is_that_of_what_was_written(tmp_path: Path) -> None:
    with RunDir.create(tmp_path / "run", manifest(cases_digest=""), CASES) as run:
        assert run.manifest.cases_digest == file_digest(tmp_path / "run" / "cases.jsonl") == cases_digest(CASES)


@pytest.mark.parametrize(
    "changes",
    [
        {"created_at": "later"},
        {"run_id": "other"},
        {"packages": {"vllm": "1"}},
        {"labels": {"a": "b"}},
        {"concurrency": 1},
    ],
)
def test_resuming_elsewhere_and_later_is_fine(tmp_path: Path, changes: dict[str, object]) -> None:
    RunDir.create(tmp_path / "run", manifest(), CASES).close()
    RunDir.resume(tmp_path / "run", manifest(**changes), CASES).close()


def test_resuming_compares_what_was_redacted(tmp_path: Path) -> None:
    secret, redact = "sk-0123456789", Redactor(("sk-0123456789",))
    told = manifest(model=ModelIdentity(name="m", source=f"http://h/{secret}/v1"))
    RunDir.create(tmp_path / "run", told, CASES, redact=redact).close()
    RunDir.resume(tmp_path / "run", told, CASES, redact=redact).close()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    RunDir.create(tmp_path / "run", manifest(), CASES).close()
    with pytest.raises(RecordError, match="already holds a run.*--resume"):
        RunDir.create(tmp_path / "run", manifest(), CASES)


def test_an_unplanned_case_is_refused(tmp_path: Path) -> None:
    with (
        RunDir.create(tmp_path / "run", manifest(), CASES) as run,
        pytest.raises(RecordError, match="facts::stranger was never planned"),
    ):
        run.append(replace(result(CASES[0], 0), key=CaseKey(suite="facts", case="stranger")))


def test_an_unknown_major_is_refused_and_a_newer_field_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run"
    RunDir.create(path, manifest(), CASES).close()
    text = (path / "manifest.json").read_text(encoding="utf-8")
    write_atomic(path / "manifest.json", text.replace('"seed"', '"from_the_future": 1, "seed"').encode())
    assert load_record(path, unfinished=True).manifest.seed == 0
    write_atomic(path / "manifest.json", text.replace('"major": 1', '"major": 2').encode())
    with pytest.raises(RecordError, match="format 2, and this llmgate reads format 1"):
        load_record(path, unfinished=True)


def test_secrets_stay_out_of_every_file(tmp_path: Path) -> None:
    secret = "sk-0123456789"
    redact = Redactor((secret,))
    cases = (replace(CASES[0], messages=(Message(role="user", content=f"use {secret}"),)),)
    run = RunDir.create(
        tmp_path / "run",
        manifest(cases_digest=cases_digest(cases, redact=redact), labels={"url": f"https://x/?key={secret}"}),
        cases,
        redact=redact,
    )
    for repeat in range(2):
        run.append(result(CASES[0], repeat))
    run.seal(sealed_at="now")
    assert all(secret.encode() not in file.read_bytes() for file in (tmp_path / "run").iterdir())


def test_no_folder_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no run here"):
        load_record(tmp_path / "absent")
    with pytest.raises(RecordError, match=r"manifest\.json: cannot be read"):
        load_record(tmp_path)
