"""Results and cases whose words stay on disk: the same as whole ones, and noticed when the disk says something else."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.records import make_case, make_check, make_failed_result, make_manifest, make_result, make_suite

from llmgate.errors import RecordError
from llmgate.record.answered_by import AnsweredBy
from llmgate.record.output_features import AnswerFeatures, OutputFeature
from llmgate.record.run.files import CASES_NAME, cases_digest
from llmgate.record.run.journal import JOURNAL_NAME
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir
from llmgate.record.schema import CaseKey, Generation, Judgement, Message, Outcome, Record, Vote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmgate.record.schema import CaseResult, PlannedCase

SEALED = "2026-11-29T00:00:00+00:00"
ASKED = Judgement(
    judge="strict",
    messages=(Message(role="user", content="Is it right?"),),
    reply="no",
    prompt_tokens=11,
    cached_tokens=4,
    vote=Vote(outcome=Outcome.FAIL, score=0.0, reason="wrong"),
    model="judge-2",
)
CASES = (
    make_case("a", slices={"topic": "x"}),
    replace(make_case("b", cluster="k", slices={"topic": "x"}), metrics=("schema",), traits=(OutputFeature.SCHEMA,)),
    make_case("c", repeats=2, expected="anything"),
)
RESULTS = (
    make_result("a", text="Paris ⚓", checks=(make_check(1.0, reason="it is there"), make_check(0.25, reason="hm"))),
    replace(
        make_result(
            "b", checks=(replace(make_check(0.0, reason="no"), judgements=(ASKED,)), make_check(None, reason="?"))
        ),
        traits=AnswerFeatures(refusal=False, characters=5),
    ),
    replace(
        make_result("c"),
        answer=Generation(
            text="", latency_s=0.5, tool_calls=({"function": {"name": "f"}},), answered_by=AnsweredBy(cached="age")
        ),
    ),
    make_failed_result("c", repeat=1),
)


def written(path: Path, results: Sequence[CaseResult] = RESULTS, cases: Sequence[PlannedCase] = CASES) -> Record:
    suites = (make_suite(cases=len(cases)),)
    run = RunDir.create(path, make_manifest(cases_digest=cases_digest(cases), suites=suites), cases)
    with run:
        for result in results:
            run.append(result)
        return run.seal(sealed_at=SEALED)


def test_whole_results_are_read_when_asked_for(tmp_path: Path) -> None:
    record = written(tmp_path / "run")
    assert dict(record.results) == {result.key: result for result in RESULTS}
    assert list(record.results.values()) == list(RESULTS)
    assert record.results[RESULTS[0].key] == RESULTS[0]
    assert record.results.get(CaseKey(suite="support", case="z")) is None
    assert CaseKey(suite="support", case="a") in record.results
    assert len(record.results) == 4


def test_what_decides_is_at_hand_without_words(tmp_path: Path) -> None:
    record = written(tmp_path / "run")
    (tmp_path / "run" / JOURNAL_NAME).unlink()
    for result in RESULTS:
        scored = record.scored[result.key]
        assert scored.key == result.key
        assert (scored.evaluated, scored.passed) == (result.evaluated, result.passed)
        assert (scored.judged, scored.threshold, scored.traits) == (result.judged, result.threshold, result.traits)
        assert [(c.type, c.outcome, c.score, c.metric, c.weight, c.required) for c in scored.checks] == [
            (c.type, c.outcome, c.score, c.metric, c.weight, c.required) for c in result.checks
        ]
    failed = record.scored[RESULTS[3].key]
    assert failed.answer == RESULTS[3].answer, "why there is no answer is asked for"
    judged = record.scored[RESULTS[1].key]
    assert [check.reason for check in judged.checks] == ["", "?"], "and why a check could not be evaluated"
    (asked,) = judged.checks[0].judgements
    assert (asked.judge, asked.reply is not None, asked.model) == ("strict", True, "judge-2")
    assert (asked.prompt_tokens, asked.cached_tokens, asked.messages) == (11, 4, ())


@pytest.mark.parametrize("word", ["text", "tool_calls", "logprobs"])
def test_who_asks_there_for_words_is_told_so(tmp_path: Path, word: str) -> None:
    answer = written(tmp_path / "run").scored[RESULTS[0].key].answer
    assert isinstance(answer, Generation)
    assert answer.latency_s == RESULTS[0].answer.latency_s  # type: ignore[union-attr]
    with pytest.raises(RecordError, match="words of an answer are not kept"):
        getattr(answer, word)
    assert "without its words" in repr(answer)


def test_records_in_memory_have_one_kind_of_results() -> None:
    results = {result.key: result for result in RESULTS}
    record = Record(manifest=make_manifest(), cases=CASES, results=results)
    assert record.scored is results


def test_equal_checks_are_one_object(tmp_path: Path) -> None:
    cases = [make_case(f"c{number}") for number in range(20)]
    results = [make_result(case.case, checks=(make_check(1.0, reason=f"found {case.case}"),)) for case in cases]
    record = written(tmp_path / "run", results, cases)
    assert len({id(result.checks) for result in record.scored.values()}) == 1
    assert record.results[results[7].key].checks[0].reason == "found c7"


@pytest.mark.parametrize("how", ["another entry", "shorter"])
def test_a_journal_that_changes_after_it_was_read_is_noticed(tmp_path: Path, how: str) -> None:
    record = written(tmp_path / "run")
    path = tmp_path / "run" / JOURNAL_NAME
    with path.open("r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(data.replace(b"Paris", b"Lyons") if how == "another entry" else data)
        if how == "shorter":
            file.truncate(40)
    with pytest.raises(RecordError, match=r"journal\.jsonl: the entry at byte \d+ changed while it was being read"):
        record.results[RESULTS[0].key]


def test_a_journal_that_is_replaced_is_not_taken_for_the_one_that_was_read(tmp_path: Path) -> None:
    record = written(tmp_path / "run")
    path = tmp_path / "run" / JOURNAL_NAME
    path.rename(tmp_path / "elsewhere")
    path.write_bytes(b"another")
    assert record.results[RESULTS[0].key] == RESULTS[0]


def test_cases_are_what_was_planned_and_their_words_are_read_when_asked_for(tmp_path: Path) -> None:
    record = written(tmp_path / "run")
    assert record.cases == CASES
    assert list(CASES) == list(record.cases)
    assert record.cases[1] != replace(CASES[1], expected="something else")
    first, second, third = record.cases
    assert first.messages == CASES[0].messages
    assert third.expected == "anything"
    assert second.metrics == ("schema",)
    assert second.traits is not None
    assert second.traits[0] is OutputFeature.SCHEMA, "and no text that is called like it"
    assert replace(first, case="z") == replace(CASES[0], case="z")
    assert cases_digest(record.cases) == cases_digest(CASES)


def test_a_file_of_cases_that_changes_after_it_was_read_is_noticed(tmp_path: Path) -> None:
    record = written(tmp_path / "run")
    path = tmp_path / "run" / CASES_NAME
    with path.open("r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(data.replace(b"Question of a?", b"Question of z?"))
    with pytest.raises(RecordError, match="changed while it was being read"):
        _ = record.cases[0].messages
    assert record.cases[0].slices == {"topic": "x"}


def test_nothing_stays_open(tmp_path: Path) -> None:
    def ours() -> set[str]:
        from pathlib import Path as Here

        return {str(link.readlink()) for link in Here("/proc/self/fd").iterdir() if link.is_symlink()}

    record = written(tmp_path / "run")
    assert str(tmp_path / "run" / JOURNAL_NAME) in ours()
    del record
    gc.collect()
    assert not {name for name in ours() if str(tmp_path) in name}


def test_a_record_reads_the_same_twice(tmp_path: Path) -> None:
    record = written(tmp_path / "run")
    again = load_record(tmp_path / "run")
    assert dict(again.results) == dict(record.results)
    assert again.cases == record.cases
