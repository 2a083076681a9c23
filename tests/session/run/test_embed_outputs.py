"""How answers look, from the endpoint to the exit code: two runs, one decision, with and without embeddings."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.endpoint import chat, scripted_endpoint, vectors
from support.project import write_suite

import llmgate
from llmgate.cli import main
from llmgate.record.output_features import AnswerFeatures
from llmgate.record.vectors import unpack_vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GATED = "drift: {refusals: {margin: 0.05}, length: {margin: 0.2}}\n"
SHOWN = "drift: {embeddings: watch}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite(folder: Path, text: str) -> None:
    path = write_suite(folder, cases=100, gate="margin: 0.2")
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def number(body: dict[str, Any]) -> int:
    return int(str(body["messages"][-1]["content"]).rpartition("-")[2])


def plain(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return chat(f"word-{number(body)}, as you asked." + " Indeed." * (number(body) % 5))


def timid(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Says the word, so that no assert minds, and yet declines every fifth time."""
    n = number(body)
    return chat(f"I can't help with word-{n}.") if n % 5 == 0 else plain(path, body)


def talkative(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return chat(f"word-{number(body)}, as you asked." + " Indeed, and gladly so." * (1 + number(body) % 5))


def embedding(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return vectors(body, lambda text: [1.0, len(text) / 50, float("can't" in text)])


def run(out: str, url: str, *more: str) -> Any:
    return CliRunner().invoke(main, ["run", "words.yaml", "--endpoint", url, "--out", out, *more])


def two(champion: Callable[..., Any], candidate: Callable[..., Any], *more: str) -> Any:
    with scripted_endpoint(champion) as (first, _), scripted_endpoint(candidate) as (second, _):
        run("champion", first, *more)
        return run("candidate", second, "--baseline", "champion", *more)


def test_refusals_fail_a_candidate_that_no_assert_minds(folder: Path) -> None:
    suite(folder, GATED)
    done = two(plain, timid)
    assert done.exit_code == 1, done.output
    assert re.search(r"^PASS +words::accuracy ", done.output, re.MULTILINE)
    assert re.search(r"^FAIL +words::drift-refusals ", done.output, re.MULTILINE)
    report = (folder / "candidate" / "report.html").read_text(encoding="utf-8")
    assert "Output drift" in report
    assert "20.0 %" in report
    told = json.loads((folder / "candidate" / "verdict.json").read_text(encoding="utf-8"))["predicate"]
    assert {one["trait"]: one["verdict"] for one in told["outputs"]} == {"refusals": "FAIL", "length": "PASS"}
    assert llmgate.load_record(folder / "candidate").cases[0].traits is not None


def test_answers_that_grow_fail_too_and_the_same_model_passes(folder: Path) -> None:
    suite(folder, GATED)
    done = two(plain, talkative)
    assert done.exit_code == 1, done.output
    assert "% longer" in " ".join(done.output.split())
    with scripted_endpoint(plain) as (url, _):
        again = run("again", url, "--baseline", "champion")
    assert again.exit_code == 0, again.output


def test_without_a_word_in_the_suite_it_is_shown_and_does_not_gate(folder: Path) -> None:
    suite(folder, "")
    done = two(plain, timid)
    assert done.exit_code == 0, done.output
    summary = (folder / "candidate" / "summary.md").read_text(encoding="utf-8")
    assert "Refusals 0.0 % → 20.0 %; length ×" in summary
    assert "watched; changed" in summary


def test_a_policy_file_gates_what_was_only_recorded(folder: Path) -> None:
    suite(folder, "")
    two(plain, timid)
    (folder / "policy.yaml").write_text(
        "llmgate-policy: 1\ndrift:\n  words: {refusals: {margin: 0.05}}\n", encoding="utf-8"
    )
    done = CliRunner().invoke(main, ["decide", "candidate", "champion", "--policy", "policy.yaml"])
    assert done.exit_code == 1, done.output
    assert "drift-refusals" in done.output


def test_embeddings_are_kept_and_their_distance_is_shown(folder: Path) -> None:
    suite(folder, SHOWN)
    with scripted_endpoint(embedding, model="embedder") as (embed, asked):
        done = two(plain, timid, "--embed-endpoint", embed)
        assert done.exit_code == 0, done.output
        assert {path for path, _ in asked} == {"/v1/embeddings"} or all("embeddings" in path for path, _ in asked)
        with scripted_endpoint(timid) as (url, _):
            options = (url, "--baseline", "champion", "--embed-endpoint", embed)
            assert run("again", *options).exit_code == 0
            before = len(asked)
            assert run("again", *options, "--resume").exit_code == 0
        assert len(asked) == before
    summary = (folder / "candidate" / "summary.md").read_text(encoding="utf-8")
    assert "energy distance" in summary
    assert "p = 0.001" in summary
    result = next(iter(llmgate.load_record(folder / "candidate").results.values()))
    assert isinstance(result.traits, AnswerFeatures)
    assert unpack_vector(result.traits.vector or "").shape == (3,)


def test_embeddings_without_a_model_are_refused_before_anything_is_asked(folder: Path) -> None:
    suite(folder, SHOWN)
    with scripted_endpoint(plain) as (url, asked):
        done = run("candidate", url)
    assert done.exit_code == 2
    assert "`drift: {embeddings: watch}` needs embeddings" in done.output
    assert asked == []


def test_an_embedding_model_that_fails_leaves_a_count_and_the_verdict(folder: Path) -> None:
    suite(folder, SHOWN)
    with scripted_endpoint(lambda _, body: vectors(body, lambda _: [0.0, 0.0]), model="embedder") as (embed, _):
        done = two(plain, timid, "--embed-endpoint", embed)
    assert done.exit_code == 0, done.output
    summary = (folder / "candidate" / "summary.md").read_text(encoding="utf-8")
    assert "100 of 100 answers have no embedding on both sides" in summary
