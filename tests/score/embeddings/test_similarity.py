"""Similarities of scripted embeddings, and of a local model."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llmgate import evaluate_assert
from llmgate.errors import SuiteError
from llmgate.score.embeddings import local

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = {"a": [1.0, 0.0], "b": [0.6, 0.8], "c": [0.0, 1.0], "-a": [-1.0, 0.0]}


def score(type_: str, value: object, output: str, **fields: Any) -> Any:
    return evaluate_assert({"type": type_, "value": value, **fields}, output, embed=lambda text: VECTORS[text])


def test_numbers_too_large_to_multiply_are_an_error() -> None:
    for type_ in ("similar:dot", "not-similar:dot"):
        for vectors in ([1.7e308, 1.7e308], [1.7e308, -1.7e308]):
            found = evaluate_assert({"type": type_, "value": "a"}, "b", embed=lambda _, v=vectors: v)  # type: ignore[misc]
            assert found.outcome == "error"


def test_of_several_texts_the_first_near_enough_counts_and_else_the_nearest() -> None:
    assert score("similar", ["c", "b", "a"], "a", threshold=0.5).score == pytest.approx(0.6)
    assert score("similar", ["-a", "b", "c"], "a", threshold=0.7).score == pytest.approx(0.6)
    assert score("semantic-similarity", ["c", "b", "a"], "a", threshold=0.5).score == pytest.approx(1)


def test_semantic_similarity_stays_between_0_and_1() -> None:
    assert score("semantic-similarity", "-a", "a").score == 0
    assert score("not-semantic-similarity", "-a", "a").score == 1


@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize(
    "type_", ["similar", "similar:cosine", "similar:dot", "similar:euclidean", "semantic-similarity"]
)
@pytest.mark.parametrize("value", ["", " ", [], ["a", ""], [1], None, 5, {"a": 1}, "unknown", ["a", "unknown"]])
def test_what_cannot_be_embedded_is_an_error(prefix: str, type_: str, value: object) -> None:
    assert score(prefix + type_, value, "a").outcome == "error"


def test_without_an_embedding_model_the_assert_is_an_error() -> None:
    found = evaluate_assert({"type": "similar", "value": "a"}, "a")
    assert found.outcome == "error"
    assert "--embed-endpoint" in found.reason


def folder(path: Path, **pooling: bool) -> str:
    (path / "1_Pooling").mkdir()
    (path / "config.json").write_text("{}", encoding="utf-8")
    (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return str(path)


def test_a_local_model_needs_no_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _: object())
    monkeypatch.setattr(local, "_loaded", lambda _: lambda texts: [VECTORS[text] for text in texts])
    spec = {"type": "semantic-similarity", "value": ["c", "b"], "config": {"model": folder(tmp_path)}, "threshold": 0.6}
    assert evaluate_assert(spec, "a").score == pytest.approx(0.6)
    broken = evaluate_assert(spec, "unknown")
    assert broken.outcome == "error"
    assert "KeyError" in broken.reason


def test_sentence_transformers_reads_the_folder_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    class Model:
        def __init__(self, path: str, **options: object) -> None:
            asked.append({"path": path, **options})

        def encode(self, texts: list[str], **_: object) -> object:
            return np.array([VECTORS[text] for text in texts])

    monkeypatch.setattr(local, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=Model))
    spec = {"type": "semantic-similarity", "value": "b", "config": {"model": folder(tmp_path)}}
    assert evaluate_assert(spec, "a").score == pytest.approx(0.6)
    assert evaluate_assert(spec, "b").score == pytest.approx(1)
    assert asked == [{"path": str(tmp_path.resolve()), "local_files_only": True, "trust_remote_code": False}]


@pytest.mark.parametrize("vector", [[], [math.nan, 1.0], [math.inf, 1.0]])
def test_a_local_model_that_gives_garbage_is_an_error(
    vector: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _: object())
    monkeypatch.setattr(local, "_loaded", lambda _: lambda texts: [vector for _ in texts])
    spec = {"type": "not-semantic-similarity", "value": "b", "config": {"model": folder(tmp_path)}}
    assert evaluate_assert(spec, "a").outcome == "error"


def test_a_local_model_must_exist(tmp_path: Path) -> None:
    for model in (str(tmp_path / "absent"), str(tmp_path), "sentence-transformers/all-MiniLM-L6-v2", 5, None):
        found = evaluate_assert({"type": "semantic-similarity", "value": "b", "config": {"model": model}}, "a")
        assert found.outcome == "error"
        assert "folder" in found.reason


def test_missing_libraries_and_other_poolings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder(tmp_path, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    monkeypatch.setattr(local, "find_spec", lambda name: None if name == "sentence_transformers" else object())
    with pytest.raises(SuiteError, match="another pooling"):
        local.load_embedder(model)
    (tmp_path / "1_Pooling" / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SuiteError, match="another pooling"):
        local.load_embedder(model)
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}', encoding="utf-8")
    assert callable(local.load_embedder(model))
    (tmp_path / "1_Pooling" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(SuiteError, match="cannot be read"):
        local.load_embedder(model)
    monkeypatch.setattr(local, "find_spec", lambda _: None)
    with pytest.raises(SuiteError, match="pip install sentence-transformers"):
        local.load_embedder(model)


def test_it_works_inside_an_event_loop() -> None:
    async def inside() -> Any:
        return score("similar", "a", "a")

    assert asyncio.run(inside()).outcome == "pass"
