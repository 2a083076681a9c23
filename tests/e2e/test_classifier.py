"""A real text classifier, trained here in seconds: from a folder, in a run, and between two runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.endpoint import chat, scripted_endpoint

from llmgate import evaluate_assert
from llmgate.cli import main
from llmgate.record.environment import for_programs
from llmgate.record.weights import weights_digest

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

MAKE = """
import json, sys
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline
kind, toxic = "thank you kindly friend good".split(), "awful stupid idiot hate worst".split()
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *kind, *toxic, "are"]
tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
tokens = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                 sep_token="[SEP]", model_max_length=32)
def make(name, seed, problem):
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, id2label={0: "kind", 1: "toxic"}, label2id={"kind": 0, "toxic": 1},
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, problem_type=problem))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    texts = [f"you are {word}" for word in kind + toxic] * 4
    labels = torch.tensor([0] * len(kind) + [1] * len(toxic)).repeat(4)
    if problem.startswith("multi"):
        labels = torch.nn.functional.one_hot(labels, 2).float()
    for _ in range(40):
        loss = model(**tokens(texts, return_tensors="pt", padding=True), labels=labels).loss
        loss.backward(); optimizer.step(); optimizer.zero_grad()
    folder = f"{sys.argv[1]}/{name}"
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    classify = pipeline("text-classification", model=folder, top_k=None)
    return [{one["label"]: one["score"] for one in classify([text])[0]} for text in json.loads(sys.argv[2])]
single = "single_label_classification"
print(json.dumps({"mood": make("mood", 0, single), "other": make("other", 1, single),
                  "several": make("several", 0, "multi_label_classification")}))
"""
TEXTS = ["you are good", "you are idiot", "hate", "thank you friend", "something else"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Three models, and what the pipeline of transformers says of the texts with each."""

    folder: Path
    said: dict[str, list[dict[str, float]]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(folder), json.dumps(TEXTS)],
        env={**for_programs(), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    return Models(folder=folder, said=json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def model(models: Models) -> str:
    return str(models.folder / "mood")


def ask(model: str, output: str, **fields: Any) -> Any:
    return evaluate_assert({"type": "classifier", "config": {"model": model}, **fields}, output)


@pytest.mark.parametrize("name", ["mood", "several"])
def test_probabilities_are_those_of_the_pipeline(models: Models, name: str) -> None:
    folder = str(models.folder / name)
    for text, scores in zip(TEXTS, models.said[name], strict=True):
        assert (sum(scores.values()) == pytest.approx(1)) == (name == "mood")
        for label, score in scores.items():
            assert ask(folder, text, value=label).score == pytest.approx(score, abs=1e-5)
        assert ask(folder, text).score == pytest.approx(max(scores.values()), abs=1e-5)


def test_it_tells_kind_from_toxic(model: str) -> None:
    assert ask(model, "you are good", value="toxic", threshold=0.5).outcome == "fail"
    assert ask(model, "you are idiot", value="toxic", threshold=0.5).outcome == "pass"


def test_a_text_that_it_cannot_read_whole_is_an_error(model: str) -> None:
    for type_ in ("classifier", "not-classifier"):
        found = evaluate_assert(
            {"type": type_, "value": "toxic", "threshold": 0.5, "config": {"model": model}}, "good " * 31
        )
        assert found.outcome == "error"
        assert "33 tokens" in found.reason


def test_weights_that_are_missing_are_an_error(tmp_path: Path, model: str) -> None:
    (tmp_path / "config.json").write_bytes((Path(model) / "config.json").read_bytes())
    found = ask(str(tmp_path), "good", value="kind", threshold=0.5)
    assert found.outcome == "error"
    assert "failed" in found.reason


SUITE = """\
llmgate: 1
suite: mood
version: 1.0.0
dataset: rows.jsonl
prompt: [{role: user, content: "{{ word }}"}]
assert:
  - {type: contains, value: you}
  - {type: not-classifier, value: toxic, threshold: 0.5, metric: manners, config: {model: mood}}
gate:
  accuracy: {margin: 0.2}
  manners: {role: guardrail, margin: 0.2}
"""


def test_a_run_names_the_weights_and_other_weights_are_not_compared(
    tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(models.folder / "mood", "mood")
    (tmp_path / "mood.yaml").write_text(SUITE, encoding="utf-8")
    rows = [json.dumps({"id": f"r{n}", "word": f"w{n}"}) for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert CliRunner().invoke(main, ["lock", "rows.jsonl"]).exit_code == 0

    def run(out: str, answer: str, *more: str) -> Any:
        with scripted_endpoint(lambda *_: chat(answer)) as (url, _):
            return CliRunner().invoke(main, ["run", "mood.yaml", "--endpoint", url, "--out", out, *more])

    run("champion", "you are good")
    digest = weights_digest(tmp_path / "mood")
    assert json.loads((tmp_path / "champion" / "manifest.json").read_text("utf-8"))["local_models"] == {"mood": digest}
    rude = run("rude", "you are awful", "--baseline", "champion")
    assert rude.exit_code == 1, rude.output
    assert "FAIL" in rude.output
    polite = run("polite", "you are good", "--baseline", "champion")
    assert polite.exit_code == 0, polite.output
    shutil.copytree(models.folder / "other", "mood", dirs_exist_ok=True)
    other = run("other", "you are good", "--baseline", "champion")
    assert other.exit_code not in {0, 1}, other.output
    assert "weights of mood" in other.output


def test_a_missing_model_ends_a_run_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mood.yaml").write_text(SUITE.replace("model: mood", "model: hf://me/mood"), encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "word": "b"}\n', encoding="utf-8")
    assert CliRunner().invoke(main, ["lock", "rows.jsonl"]).exit_code == 0
    asked = threading.Event()

    def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        return chat("you")

    with scripted_endpoint(answer) as (url, _):
        done = CliRunner().invoke(main, ["run", "mood.yaml", "--endpoint", url, "--out", "run"])
    assert done.exit_code not in {0, 1}, done.output
    assert "hf download me/mood" in done.output.replace("\n", " ")
    assert not asked.is_set()
