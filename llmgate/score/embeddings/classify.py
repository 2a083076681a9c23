"""A text classifier from a local folder: the probabilities of its labels. Nothing is downloaded, no code of it is run.

As the pipeline of transformers has it: the softmax over labels where exactly one is right, the sigmoid of each where
several may be, and where there is only one.
"""

from __future__ import annotations

import json
import math
import os
import threading
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import JudgeError, SuiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["classify", "labels_of", "require_libraries"]

_LOCK: Final = threading.Lock()
_ROUNDING: Final = 1e-5
"""How far a probability in single precision may lie outside of [0, 1], or their sum beside 1."""


def require_libraries(where: str | None = None) -> None:
    """Refuses to go on without what reads the folder.

    Raises:
        SuiteError: If transformers or torch is not installed.
    """
    if find_spec("transformers") is None or find_spec("torch") is None:
        raise SuiteError(
            "a local classifier needs transformers and torch", where=where, fix="pip install transformers torch"
        )


def labels_of(folder: Path, *, where: str | None = None) -> tuple[str, ...]:
    """The labels of a classifier, by its configuration.

    Raises:
        SuiteError: If it is no classifier, or two labels have one name.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SuiteError(f"{path} cannot be read: {error}", where=where) from error
    named = config if isinstance(config, dict) else {}
    built = [name for name in named.get("architectures") or () if isinstance(name, str)]
    if not any(name.endswith("ForSequenceClassification") for name in built):
        what = f"it is a {built[0]}" if built else "it does not say what it is"
        # The head would be made up of random numbers otherwise.
        raise SuiteError(f"the model in {folder} is no classifier of texts: {what}", where=where)
    words = named.get("id2label")
    labels = tuple(words.values()) if isinstance(words, dict) else ("LABEL_0", "LABEL_1")
    if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise SuiteError(f"the labels of the model in {folder} are not different texts", where=where)
    return labels


def classify(folder: Path, text: str) -> Mapping[str, float]:
    """The probability of each label; the model is loaded with the first text, and again if its files change.

    Takes a while: not for the thread of an event loop.

    Raises:
        JudgeError: If the model cannot be loaded, the text is longer than it reads, or its answer is no probability.
    """
    try:
        # One at a time: the libraries' tokenizers do not promise to be safe in several threads.
        with _LOCK:
            return _checked(folder, _loaded(folder, _stamp(folder))(text))
    except JudgeError:
        raise
    except Exception as error:
        raise JudgeError(f"the classifier in {folder} failed: {type(error).__name__}: {error}") from error


def _checked(folder: Path, found: Mapping[str, float]) -> Mapping[str, float]:
    for label, probability in found.items():
        if not math.isfinite(probability) or not -_ROUNDING <= probability <= 1 + _ROUNDING:
            raise JudgeError(f"the classifier in {folder} gave {label!r} the probability {probability}")
    if not found:
        raise JudgeError(f"the classifier in {folder} gave no probability")
    return {label: min(1.0, max(0.0, probability)) for label, probability in found.items()}


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keeps transformers from drawing bars beside our own progress."""
    from transformers.utils import logging  # noqa: PLC0415 - optional, and seconds to import

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file of the folder does: a run that names new weights must not ask old ones."""
    entries = ((entry.name, entry.stat()) for entry in os.scandir(folder) if entry.is_file())
    return tuple(sorted((name, status.st_size, status.st_mtime_ns) for name, status in entries))


@lru_cache(maxsize=2)
def _loaded(folder: Path, _: tuple[tuple[str, int, int], ...]) -> Callable[[str], Mapping[str, float]]:
    import torch  # noqa: PLC0415 - optional, and seconds to import
    from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415 - see above

    source = str(folder)
    with _without_bars():
        tokenizer: Any = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            source, local_files_only=True, trust_remote_code=False
        )
    model = model.float().eval()
    labels = model.config.id2label
    if model.config.problem_type == "regression":
        raise JudgeError(f"the model in {folder} gives no probabilities")
    independent = model.config.problem_type == "multi_label_classification" or model.config.num_labels == 1
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None) or math.inf)

    def read(text: str) -> Mapping[str, float]:
        batch = tokenizer(text, return_tensors="pt")
        length = batch["input_ids"].shape[-1]
        if length > longest:
            raise JudgeError(f"the answer has {length:,} tokens, and the classifier in {folder} reads {longest:,}")
        with torch.inference_mode():
            logits = model(**batch).logits[0].double()
        found = torch.sigmoid(logits) if independent else torch.softmax(logits, dim=-1)
        return {labels[place]: probability for place, probability in enumerate(found.tolist())}

    return read
