"""A document or a logged sample of lm-evaluation-harness as a row: prompt, target and options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import TemplateError
from llmgate.suite.importers.files import FUNCTION, listing, mapping
from llmgate.suite.importers.table import LETTERS, lettered, texts
from llmgate.suite.template.javascript import UNDEFINED
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.result import Notebook

__all__ = ["Task", "document_record", "sample_record"]

_COLUMN: Final = re.compile(r"{{-?\s*(\w+)\s*-?}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task.

    Attributes:
        name: What it is called.
        config: Its settings.
        where: Its file.
    """

    name: str
    config: Mapping[str, Any]
    where: str


def document_record(document: Any, task: Task, where: str, notes: Notebook) -> dict[str, Json] | None:
    """The row of one document, or None if it cannot be carried over, which is noted."""
    if not isinstance(document, Mapping):
        notes.lost("a document that is no mapping", where)
        return None
    config = task.config
    try:
        question = setting_of(config.get("doc_to_text"), document, "doc_to_text")
        target = setting_of(config.get("doc_to_target"), document, "doc_to_target")
        choosing = config.get("doc_to_choice")
        options = setting_of(choosing, document, "doc_to_choice") if choosing else None
        description = setting_of(config.get("description") or "", document, "description")
    except (TemplateError, ValueError) as error:
        what = error.what if isinstance(error, TemplateError) else str(error)
        notes.lost(f"documents left out: {what}", task.where)
        return None
    prompt = f"{description}{question}"
    choices = texts(options) if options is not None else []
    if config.get("output_type") == "multiple_choice" and not choices:
        notes.lost("documents left out: a multiple-choice task without doc_to_choice", task.where)
        return None
    return row(prompt, target, choices, where, notes)


def sample_record(sample: Any, task: Task, where: str, notes: Notebook) -> dict[str, Json] | None:
    """The row of one logged sample, or None if it cannot be carried over, which is noted."""
    requests = requests_of(sample)
    if not requests:
        notes.lost("a sample without arguments", where)
        return None
    prompts = list(dict.fromkeys(context for context, _ in requests))
    continuations = [continuation for _, continuation in requests]
    if len(requests) == 1 and not isinstance(continuations[0], str):
        return row(prompts[0], sample.get("target"), [], where, notes)
    if len(prompts) > 1 or len(requests) == 1:
        notes.lost(f"{task.name}: likelihoods of given texts cannot be asked of a chat endpoint", where)
        return None
    notes.remark("options were compared by likelihood; here they are lettered and one is asked for", task.where)
    choices = [str(continuation).strip() for continuation in continuations]
    return row(prompts[0], sample.get("target"), choices, where, notes)


def requests_of(sample: Any) -> list[tuple[str, Any]]:
    """Context and continuation (or generation settings) of each request, in the forms of old and new logs."""
    arguments = mapping(sample).get("arguments")
    if isinstance(arguments, Mapping):
        arguments = [arguments[key] for key in sorted(arguments, key=lambda key: (len(key), key))]
    requests = []
    for request in listing(arguments):
        pair = [request[key] for key in sorted(request)] if isinstance(request, Mapping) else request
        if isinstance(pair, Sequence) and len(pair) >= 1 and isinstance(pair[0], str):
            requests.append((pair[0], pair[1] if len(pair) > 1 else None))
    return requests


def row(prompt: str, target: Json, choices: list[str], where: str, notes: Notebook) -> dict[str, Json] | None:
    """Prompt, target and options as columns."""
    if not prompt.strip():
        notes.lost("a document without a question", where)
        return None
    if not choices:
        expected = [text for text in texts(target) if text.strip()]
        if not expected:
            notes.lost("a document without a target", where)
            return None
        return {"prompt": prompt, "target": [text.strip() for text in expected]}
    index = chosen(target, choices)
    if index is None or len(choices) > len(LETTERS):
        notes.lost(f"a document whose target {target!r} is none of its options"[:160], where)
        return None
    return {"prompt": lettered(prompt.rstrip(), choices), "target": [LETTERS[index]], "choices": list(choices)}


def chosen(target: Json, choices: list[str]) -> int | None:
    """The index of the right option: the target is an index, the text of an option, or its letter.

    Digits are an index first, as the harness reads them.
    """
    if isinstance(target, list) and len(target) == 1:
        target = target[0]
    if isinstance(target, bool) or not isinstance(target, int | str):
        return None
    if isinstance(target, int):
        return target if 0 <= target < len(choices) else None
    text = target.strip()
    if len(text) < 4 and text.isdecimal() and int(text) < len(choices):
        return int(text)
    options = [choice.strip() for choice in choices]
    if text in options:
        return options.index(text)
    letter = text.strip("().").upper()
    return LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS[: len(choices)] else None


def setting_of(written: Any, document: Mapping[str, Any], key: str) -> Json:
    """What a setting says about a document: a column, a template, a list of templates, or a constant.

    Raises:
        ValueError: If it is code, or missing.
        TemplateError: If a template cannot be rendered.
    """
    if isinstance(written, list):
        return [setting_of(item, document, key) for item in written]
    if isinstance(written, int):
        return written
    if not isinstance(written, str):
        raise ValueError(f"there is no {key}")
    if written.startswith(FUNCTION):
        raise ValueError(f"{key} is code ({written.removeprefix(FUNCTION)}), which is not run")
    column = _COLUMN.fullmatch(written.strip())
    name = column[1] if column else written
    if name in document:
        value: Json = document[name]
        return value
    meaning = Template.compile(written, python=True).value(document)
    if meaning is UNDEFINED or meaning is None:
        raise ValueError(f"{key} says nothing about a document: {written[:80]}")
    return meaning  # type: ignore[return-value]
