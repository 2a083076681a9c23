"""The content digest tells what was found, and nothing of when, where and how fast."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.records import make_case, make_check, make_failed_result, make_manifest, make_result, seal

from llmgate.errors import RecordError
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.looks import Stop
from llmgate.record.manifest import Shard
from llmgate.record.policy import Policy
from llmgate.record.run import content_digest as module
from llmgate.record.run.content_digest import content_digest, lines
from llmgate.record.run.files import cases_digest
from llmgate.record.run.journal import JOURNAL_NAME
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir
from llmgate.record.schema import (
    AnchorCheck,
    AnchorResult,
    CaseKey,
    CaseResult,
    Exchange,
    FailureKind,
    Generation,
    Judgement,
    JudgeTrial,
    Message,
    Outcome,
    Record,
    TokenLogprob,
    Vote,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CASES = (make_case("a"), make_case("b", repeats=2), make_case("c"))
ASKED = Judgement(messages=(Message(role="user", content="Good?"),), reply="yes", prompt_tokens=5)
RESULTS = (
    make_result("a", checks=[make_check(), replace(make_check(0.0, metric="tone"), judgements=(ASKED,))]),
    make_result("b"),
    make_result("b", repeat=1),
    make_failed_result("c"),
)
KEY = CaseKey(suite="support", case="a")


def record(results: tuple[CaseResult, ...] = RESULTS, **changes: Any) -> Record:
    manifest = make_manifest()
    made = Record(manifest=manifest, cases=CASES, results={result.key: result for result in results})
    return replace(made, **changes)


def with_result(change: Callable[[CaseResult], CaseResult], key: CaseKey = KEY) -> Record:
    whole = record()
    return replace(whole, results={**whole.results, key: change(whole.results[key])})


def with_answer(**changes: Any) -> Record:
    def change(result: CaseResult) -> CaseResult:
        assert isinstance(result.answer, Generation)
        return replace(result, answer=replace(result.answer, **changes))

    return with_result(change)


def with_check(index: int, **changes: Any) -> Record:
    def change(result: CaseResult) -> CaseResult:
        checks = list(result.checks)
        checks[index] = replace(checks[index], **changes)
        return replace(result, checks=tuple(checks))

    return with_result(change)


def with_judgement(**changes: Any) -> Record:
    return with_check(1, judgements=(replace(ASKED, **changes),))


def with_manifest(**changes: Any) -> Record:
    whole = record()
    return replace(whole, manifest=replace(whole.manifest, **changes))


def stopped() -> Record:
    whole = seal(record())
    assert whole.seal is not None
    return replace(whole, seal=replace(whole.seal, stops=(Stop(suite="support", look=1, reason="x"),)))


WHOLE = content_digest(record())
MANIFEST = record().manifest


def test_the_definition_is_written_in_stone() -> None:
    """A digest that somebody wrote down must come out the same with every later version."""
    assert WHOLE == "6e3a7d355659a57f476f5274a6345ecd410bb4ed30c390b393935b0525c27752"


ASKING = replace(MANIFEST, cases_digest=cases_digest(CASES))
FOUND = content_digest(record(manifest=ASKING))


def on_disk(folder: Path) -> Record:
    with RunDir.create(folder, ASKING, CASES) as run:
        for result in RESULTS:
            run.append(result)
        return run.seal(sealed_at="2026-11-23T12:00:00+00:00")


def test_of_a_sealed_record_it_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed, computed = on_disk(tmp_path / "run"), list[Record]()

    def counted(asked: Record) -> Iterator[object]:
        computed.append(asked)
        return lines(asked)

    monkeypatch.setattr(module, "lines", counted)
    assert [content_digest(sealed) for _ in range(3)] == [FOUND] * 3
    assert len(computed) == 1


def test_a_record_made_of_another_one_has_its_own(tmp_path: Path) -> None:
    sealed = on_disk(tmp_path / "run")
    assert content_digest(sealed) == FOUND
    other = replace(sealed, manifest=replace(ASKING, policy=Policy(metrics=())))
    assert content_digest(other) == content_digest(record(manifest=other.manifest)) != FOUND


def test_what_was_edited_since_it_was_read_has_none(tmp_path: Path) -> None:
    sealed = on_disk(tmp_path / "run")
    journal = tmp_path / "run" / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes().replace(b'"judged":true', b'"judged":null'))
    with pytest.raises(RecordError, match="changed while it was being read"):
        content_digest(sealed)
    with pytest.raises(RecordError, match="changed after the run was sealed"):
        load_record(tmp_path / "run")


def test_a_seal_cannot_claim_another(tmp_path: Path) -> None:
    on_disk(tmp_path / "run")
    path = tmp_path / "run" / "seal.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "content": "0" * 64}), encoding="utf-8")
    assert content_digest(load_record(tmp_path / "run")) == FOUND


def test_the_order_of_arrival_does_not_matter() -> None:
    assert content_digest(record(RESULTS[::-1])) == WHOLE


@pytest.mark.parametrize(
    "same",
    [
        with_answer(latency_s=99.0),
        with_answer(attempts=4),
        with_answer(cached_tokens=3),
        with_answer(logprobs=(TokenLogprob(token="x", logprob=-0.5),)),
        with_check(0, reason="it took 3 s at 10.0.0.1"),
        with_judgement(prompt_tokens=9, cached_tokens=4),
        with_result(lambda _: make_failed_result("c", message="elsewhere", attempts=9), CaseKey(suite="support", case="c")),
        with_manifest(run_id="another", created_at="2030-01-01T00:00:00+00:00", concurrency=1, seed=3),
        with_manifest(llmgate_version="99", packages={"vllm": "1"}, labels={"ci": "1"}),
        with_manifest(model=replace(MANIFEST.model, source="elsewhere", registry_uri=None)),
        with_manifest(server=replace(MANIFEST.server, url="http://elsewhere", flags=(), version=None)),
        with_manifest(suites=tuple(replace(suite, path="x", description="y") for suite in MANIFEST.suites)),
        seal(record()),
    ],
)  # fmt: skip
def test_when_where_and_how_fast_do_not_matter(same: Record) -> None:
    assert content_digest(same) == WHOLE


@pytest.mark.parametrize(
    "other",
    [
        with_answer(text="another"),
        with_answer(finish_reason="length"),
        with_answer(completion_tokens=8),
        with_answer(prompt_tokens=None),
        with_answer(tool_calls=({"name": "f"},)),
        with_answer(answered_by=AnsweredBy(model="somebody")),
        with_check(0, score=0.75),
        with_check(0, metric="tone"),
        with_check(0, weight=2.0),
        with_check(0, required=True),
        with_check(0, outcome=Outcome.ERROR, score=None),
        with_check(0, outcome=Outcome.FAIL),
        with_judgement(reply="no"),
        with_judgement(messages=()),
        with_judgement(error="none"),
        with_judgement(vote=Vote(outcome=Outcome.PASS, score=1.0)),
        with_judgement(model="another"),
        with_result(lambda it: replace(it, judged=False)),
        with_result(lambda it: replace(it, exchanges=(Exchange(path="chat/completions"),))),
        with_result(lambda _: make_failed_result("a")),
        with_result(
            lambda _: make_failed_result("c", kind=FailureKind.HTTP), CaseKey(suite="support", case="c")
        ),
        record(RESULTS[1:]),
        with_manifest(model=replace(MANIFEST.model, name="another")),
        with_manifest(model=replace(MANIFEST.model, weights_digest="0" * 64)),
        with_manifest(server=replace(MANIFEST.server, deployment="v2")),
        with_manifest(cases_digest="0" * 64),
        with_manifest(suites=tuple(replace(suite, digest="0") for suite in MANIFEST.suites)),
        with_manifest(policy=replace(MANIFEST.policy, slice_alpha=0.05)),
        with_manifest(shard=Shard(index=1, of=2)),
        record(trials=(JudgeTrial(suite="s", type="t", criterion="c", canary="x", outcome=Outcome.PASS),)),
        record(
            anchors=AnchorCheck(
                source="a", digest="d", results=(AnchorResult(id="a", passed=True, outcome=Outcome.PASS),)
            )
        ),
        stopped(),
    ],
)  # fmt: skip
def test_whatever_was_found_matters(other: Record) -> None:
    assert content_digest(other) != WHOLE


def test_a_lone_surrogate_has_a_digest_too() -> None:
    assert len(content_digest(with_answer(text="\ud800"))) == 64
