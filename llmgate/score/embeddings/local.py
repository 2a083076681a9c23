"""An embedding model from a local folder, for suites that need no endpoint for it. Nothing is downloaded.

sentence-transformers reads the folder where it is installed. Without it transformers does, and the vector of a text
is the mean over its tokens (Reimers and Gurevych, 2019, arXiv:1908.10084); folders that want another pooling are
refused then.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmgate.errors import JudgeError, SuiteError

__all__ = ["Embedder", "load_embedder"]

Embedder = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""A vector of finite numbers for each text; raises a `JudgeError` if there is none."""

_MEAN = "pooling_mode_mean_tokens"


def load_embedder(folder: str, *, where: str | None = None) -> Embedder:
    """The model in a folder; it is loaded with the first text, and once per process.

    Args:
        folder: As written in the suite, absolute or relative to the working directory.
        where: `file:line` for error messages.

    Raises:
        SuiteError: If there is no such folder, or no library that reads it.
    """
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
        raise SuiteError(
            f"{folder!r} is no folder with an embedding model",
            where=where,
            fix="Nothing is fetched",
        )
    if find_spec("sentence_transformers") is None:
        if find_spec("transformers") is None or find_spec("torch") is None:
            raise SuiteError(
                "a local embedding model needs sentence-transformers, or transformers and torch",
                where=where,
                fix="pip install sentence-transformers, or leave `model` out and give --embed-endpoint",
            )
        _check_pooling(path, where)
    return lambda texts: _embed(path.resolve(), texts)


def _check_pooling(path: Path, where: str | None) -> None:
    try:
        pooling = json.loads((path / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise SuiteError(f"the pooling of {path} cannot be read: {error}", where=where) from error
    if not isinstance(pooling, dict) or not all(k == _MEAN or v == "mean" for k, v in pooling.items() if _chosen(k, v)):
        raise SuiteError(
            f"the model in {path} wants another pooling than the mean",
            where=where,
            fix="pip install sentence-transformers",
        )


def _chosen(key: str, value: object) -> bool:
    return key.startswith("pooling_mode") and bool(value)


_LOCK = threading.Lock()


def _embed(path: Path, texts: Sequence[str]) -> list[list[float]]:
    try:
        # One at a time: the libraries' tokenizers do not promise to be safe in several threads.
        with _LOCK:
            return _loaded(path)(texts)
    except Exception as error:
        raise JudgeError(f"the embedding model in {path} failed: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=2)
def _loaded(path: Path) -> Callable[[Sequence[str]], list[list[float]]]:
    if find_spec("sentence_transformers") is not None:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - optional, and seconds to import

        model = SentenceTransformer(str(path), local_files_only=True, trust_remote_code=False)
        return lambda texts: model.encode(list(texts), show_progress_bar=False).tolist()
    return _mean_pooled(path)


def _mean_pooled(path: Path) -> Callable[[Sequence[str]], list[list[float]]]:
    import torch  # noqa: PLC0415 - optional, and seconds to import
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - optional, and seconds to import

    tokenizer: Any = AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    model: Any = AutoModel.from_pretrained(str(path), local_files_only=True, trust_remote_code=False).eval()

    def embed(texts: Sequence[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for text in texts:
            batch = tokenizer(text, return_tensors="pt", truncation=True)
            with torch.inference_mode():
                states = model(**batch).last_hidden_state[0]
            mask = batch["attention_mask"][0].unsqueeze(-1)
            vectors.append(((states * mask).sum(0) / mask.sum()).tolist())
        return vectors

    return embed
