"""What asserts ask besides the model under test: embeddings, named judges, measurements of the answer itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.endpoint import chat, scripted_endpoint, vectors
from support.project import write_suite

import llmgate
from llmgate.cli import main
from llmgate.errors import UsageError
from llmgate.record.schema import Generation, Outcome
from llmgate.score.judge_canaries import CANARIES
from llmgate.session.settings.combined import settings_from
from llmgate.session.settings.readers import read_judges

if TYPE_CHECKING:
    from pathlib import Path

RUBRIC = '  - {type: llm-rubric, value: "repeats the word", metric: tone, judges: [strict]}\n'
CUSTOM = """
import llmgate

@llmgate.check("cool", version="1")
def cool(output, *, context):
    return context.logprobs is not None and context.tokens["total"] == 10 and context.finish_reason == "stop"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if path.endswith("/embeddings"):
        return vectors(body, lambda text: [1.0, float(len(text))])
    if "response_format" in body:
        return chat(json.dumps({"reason": "so", "pass": True, "score": 1}))
    word = str(body["messages"][-1]["content"]).removeprefix("Say ")
    extra = {"logprobs": {"content": [{"token": word, "logprob": -0.25}]}} if body.get("logprobs") else {}
    return chat(word, **extra)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["run", "words.yaml", "--out", "run", *arguments])


@pytest.mark.parametrize("text", ["strict", "=http://a", "a=http://x a=http://y", "strict="])
def test_judges_that_are_no_pairs_are_refused(text: str) -> None:
    if text == "strict=":
        assert read_judges(text) == {"strict": ("", "")}
        return
    with pytest.raises(UsageError, match="--judges"):
        read_judges(text)


def test_judges_may_name_their_model(tmp_path: Path) -> None:
    settings = settings_from({"judges": "a=http://x:1 b=some-model@http://y:2/v1"}, root=tmp_path)
    assert settings.judges == {"a": ("", "http://x:1"), "b": ("some-model", "http://y:2/v1")}


def test_finish_reasons_are_read_in_lower_case(tmp_path: Path) -> None:
    settings = settings_from({"finish_reasons": "Done null", "judge_finish_reasons": "ok"}, root=tmp_path)
    assert settings.finish_reasons == {"done", "null"}
    assert settings.judge_finish_reasons == {"ok"}


@pytest.mark.parametrize("field", ["finish_reasons", "judge_finish_reasons"])
@pytest.mark.parametrize("reason", ["content_filter", "Error", "abort", "refusal"])
def test_reasons_by_which_nothing_is_complete_cannot_be_named(field: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason.lower()):
        settings_from({field: f"done {reason}"}, root=tmp_path)


def test_a_named_judge_is_asked_and_recorded(project: Path) -> None:
    write_suite(project, cases=12, extra=RUBRIC)
    with scripted_endpoint(answer) as (url, _), scripted_endpoint(answer, model="judge-7") as (judge, seen):
        done = run("--endpoint", url, "--judges", f"strict={judge}")
    assert done.exit_code == 0, done.output
    assert len(seen) == 12 + len(CANARIES)
    record = llmgate.load_record(project / "run")
    assert record.manifest.judge is None
    assert record.manifest.judges["strict"].model == "judge-7"
    judged = [check for result in record.results.values() for check in result.checks if check.type == "llm-rubric"]
    assert {check.outcome for check in judged} == {Outcome.PASS}
    assert all(check.judgements[0].reply and check.judgements[0].messages for check in judged)


def test_a_judge_that_is_not_named_is_refused_before_anything_is_asked(project: Path) -> None:
    write_suite(project, cases=12, extra=RUBRIC)
    with scripted_endpoint(answer) as (url, seen):
        done = run("--endpoint", url, "--judges", "stricter=http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "'strict'" in done.output
    assert "stricter" in done.output
    assert not seen


def test_embeddings_are_asked_of_their_own_endpoint(project: Path) -> None:
    write_suite(project, cases=12, extra='  - {type: similar, value: "{{ word }}", metric: near}\n')
    with scripted_endpoint(answer) as (url, _), scripted_endpoint(answer, model="minilm") as (embed, seen):
        refused = run("--endpoint", url)
        done = run("--endpoint", url, "--embed-endpoint", embed, "--out", "run-2")
    assert refused.exit_code == 2
    assert "--embed-endpoint" in refused.output
    assert done.exit_code == 0, done.output
    assert {path for path, _ in seen} == {"/v1/embeddings"}
    record = llmgate.load_record(project / "run-2")
    assert record.manifest.embedding is not None
    assert record.manifest.embedding.name == "minilm"
    near = [check for result in record.results.values() for check in result.checks if check.type == "similar"]
    assert [check.outcome for check in near] == [Outcome.PASS] * 12


def test_log_probabilities_are_asked_for_where_an_assert_needs_them(project: Path) -> None:
    (project / "conftest.py").write_text(CUSTOM, encoding="utf-8")
    write_suite(project, cases=12, extra="  - {type: perplexity, threshold: 2}\n  - {type: cool, metric: own}\n")
    with scripted_endpoint(answer) as (url, seen):
        done = run("--endpoint", url)
    assert done.exit_code == 0, done.output
    assert all(body["logprobs"] is True for path, body in seen if path.endswith("completions"))
    record = llmgate.load_record(project / "run")
    assert all(
        check.outcome is Outcome.PASS for result in record.results.values() for check in result.checks
    )  # exp(0.25) < 2
    one = next(iter(record.results.values())).answer
    assert isinstance(one, Generation)
    assert one.logprobs is not None


def test_a_model_that_judges_itself_is_flagged(project: Path) -> None:
    write_suite(project, cases=12, extra='  - {type: llm-rubric, value: "repeats", metric: tone}\n')
    with scripted_endpoint(answer) as (url, _):
        done = run("--endpoint", url, "--judge-endpoint", url)
    assert done.exit_code == 0, done.output
    assert llmgate.load_record(project / "run").manifest.self_judges == ("scripted",)
    assert "judged its own answers" in (project / "run" / "report.html").read_text(encoding="utf-8")


def test_what_an_answer_costs_follows_from_the_suites_prices(project: Path) -> None:
    suite = write_suite(project, cases=12, extra="  - {type: cost, threshold: 0.00002, metric: price}\n")
    with scripted_endpoint(answer) as (url, seen):
        refused = run("--endpoint", url)
        assert not seen
        suite.write_text(suite.read_text(encoding="utf-8") + "prices: {prompt: 1.5, completion: 3}\n", encoding="utf-8")
        done = run("--endpoint", url)
        dear = suite.read_text(encoding="utf-8").replace("completion: 3", "completion: 5")
        suite.write_text(dear, encoding="utf-8")
        run("--endpoint", url, "--out", "dear")
    assert refused.exit_code == 2
    assert "prices:" in refused.output
    assert done.exit_code == 0, done.output
    outcomes = [
        {
            c.outcome
            for result in llmgate.load_record(project / name).results.values()
            for c in result.checks
            if c.type == "cost"
        }
        for name in ("run", "dear")
    ]
    # 8 tokens of prompt and 2 of answer: 18 and 22 millionths.
    assert outcomes == [{Outcome.PASS}, {Outcome.FAIL}]


TURNS = """\
llmgate: 1
suite: words
version: 1.0.0
dataset: words.jsonl
prompt:
  - {role: user, content: Hi}
  - {role: assistant, content: Hello}
  - {role: user, content: "Say {{ word }}"}
assert:
  - {type: contains, value: "{{ word }}"}
  - {type: conversation-relevance, metric: tone, judges: [strict]}
gate: {accuracy: {min: 0.1}}
"""


def test_a_conversation_is_judged_by_the_messages_of_its_case(project: Path) -> None:
    write_suite(project, cases=1).write_text(TURNS, encoding="utf-8")

    def relevant(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if "response_format" in body:
            return chat(json.dumps({"reason": "so", "verdict": "yes"}))
        return answer(path, body)

    with scripted_endpoint(relevant) as (url, _):
        run("--endpoint", url, "--judges", f"strict={url}")
    (result,) = llmgate.load_record(project / "run").results.values()
    (check,) = (check for check in result.checks if check.type == "conversation-relevance")
    assert (check.outcome, check.score, len(check.judgements)) == (Outcome.PASS, 1.0, 1)
    asked = check.judgements[0].messages[-1].content
    assert '[{"user":"Hi","assistant":"Hello"}]' in asked
    assert "Say word-0" in asked
