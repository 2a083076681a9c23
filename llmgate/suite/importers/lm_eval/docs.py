"""A document or a logged sample of lm-evaluation-harness: what is asked, its options, and what is right.

What templates stand for follows `doc_to_text`, `doc_to_target` and `doc_to_choice` of lm_eval/api/task.py, 0.4.13.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmgate.errors import TemplateError
from llmgate.suite.importers.files import listing, mapping
from llmgate.suite.importers.messages import as_messages, as_text
from llmgate.suite.importers.table import texts
from llmgate.suite.template.javascript import UNDEFINED
from llmgate.suite.template.nunjucks import Template

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.result import Notebook

__all__ = ["AskedDocument", "Turn", "question_of", "sample_question", "turn_of"]

_COLUMN: Final = re.compile(r"{{-?\s*(\w+)\s*-?}}")
_TEMPLATED: Final = re.compile(r"<\|im_start\|>|<\|start_header_id\|>|\[INST\]|<start_of_turn>|<\|user\|>")
_SYNTAX: Final = ImmutableSandboxedEnvironment()
MAX_LITERAL_CHARS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one document says.

    Attributes:
        text: Its question.
        options: What there is to choose from; empty where an answer is written.
        right: The index of the right option, None if none is.
        targets: The answers of which one is expected, where one is written.
        prefix: How the answer begins.
    """

    text: str
    options: tuple[str, ...] = ()
    right: int | None = None
    targets: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDocument:
    """What is asked, before options are lettered.

    Attributes:
        text: The whole prompt.
        options: What there is to choose from; empty where an answer is written.
        right: The index of the right option.
        targets: The answers of which one is expected, where one is written.
        where: The place of its document.
    """

    text: str
    options: tuple[str, ...] = ()
    right: int = 0
    targets: tuple[str, ...] = ()
    where: str


def turn_of(document: Any, config: Mapping[str, Any]) -> Turn:
    """What a document says by the templates of a task.

    Raises:
        ValueError: If it cannot be carried over.
        TemplateError: If a template cannot be rendered.
    """
    if not isinstance(document, Mapping):
        raise ValueError("a document that is no mapping")
    choosing = config.get("output_type") == "multiple_choice"
    options = options_of(config.get("doc_to_choice"), document)
    question = setting_of(config.get("doc_to_text"), document, "doc_to_text")
    if options and (isinstance(question, int) or (isinstance(question, str) and question.isdigit())):
        raise ValueError("doc_to_text chooses among contexts, which are compared by likelihood")
    target = target_of(config.get("doc_to_target"), document, choice=bool(options))
    prefix = setting_of(config["gen_prefix"], document, "gen_prefix") if config.get("gen_prefix") else ""
    if choosing and not options:
        raise ValueError("a multiple-choice task without doc_to_choice")
    if not choosing and options:
        index = target if isinstance(target, int) else None
        if index is None or not -len(options) <= index < len(options):
            raise ValueError(f"the target {str(target)[:40]!r} is no index of doc_to_choice")
        return Turn(text=str(question), targets=(options[index],), prefix=str(prefix))
    if choosing:
        right = right_option(target, options)
        return Turn(text=str(question), options=options, right=right, prefix=str(prefix))
    return Turn(text=str(question), targets=tuple(texts(target)), prefix=str(prefix))


def right_option(target: Json, options: Sequence[str]) -> int | None:
    """The index of the right option as the harness finds it: an index, or the very text of an option."""
    if isinstance(target, list):
        if len(target) > 1:
            raise ValueError("several options are right, and one letter is asked for")
        target = target[0] if target else None
    if isinstance(target, int):
        return int(target) if 0 <= target < len(options) else None
    return options.index(target) if isinstance(target, str) and target in options else None


def question_of(
    document: Any, config: Mapping[str, Any], notes: Notebook, *, before: str, where: str, task: str
) -> AskedDocument | None:
    """What one document asks, or None if it cannot be carried over, which is noted.

    Args:
        document: The document.
        config: The task's settings.
        notes: What is left out.
        before: The examples that stand before it.
        where: The document's place.
        task: The task's file.
    """
    try:
        turn = turn_of(document, config)
        description = setting_of(config.get("description") or "", document, "description")
    except (TemplateError, ValueError) as error:
        what = error.what if isinstance(error, TemplateError) else str(error)
        notes.lost(f"documents left out: {what}", task)
        return None
    delimiter = str(config.get("target_delimiter", " "))
    text = f"{description or ''}{before}{with_prefix(turn.text, turn.prefix, delimiter)}"
    return question(text, turn, where, notes)


def with_prefix(text: str, prefix: str, delimiter: str) -> str:
    """A question and the beginning of its answer; a delimiter stands between them where no white space does."""
    if not prefix:
        return text
    between = "" if not text or text[-1].isspace() or prefix[0].isspace() else delimiter
    return f"{text}{between}{prefix}"


def question(text: str, turn: Turn, where: str, notes: Notebook) -> AskedDocument | None:
    """A question of which it is known what is right; the others are noted."""
    if not text.strip():
        notes.lost("a document without a question", where)
        return None
    if turn.options:
        if turn.right is None:
            notes.lost("a document whose target is none of its options", where)
            return None
        return AskedDocument(text=text, options=turn.options, right=turn.right, where=where)
    targets = tuple(target for target in turn.targets if target)
    if not targets:
        notes.lost("a document without a target", where)
        return None
    return AskedDocument(text=text, targets=targets, where=where)


def sample_question(sample: Any, where: str, notes: Notebook, task: str) -> AskedDocument | None:
    """What one logged sample asks, or None if it cannot be carried over, which is noted."""
    requests = requests_of(sample)
    if not requests:
        notes.lost("a sample without arguments", where)
        return None
    prompts = [told(prompt, task, notes) for prompt in dict.fromkeys(context for context, _ in requests)]
    continuations = [continuation for _, continuation in requests]
    target = sample.get("target")
    if len(requests) == 1 and not isinstance(continuations[0], str):
        return question(prompts[0], Turn(text=prompts[0], targets=tuple(logged_targets(target))), where, notes)
    if len(prompts) > 1 or len(requests) == 1:
        notes.lost(f"{task}: likelihoods of given texts cannot be asked of a chat endpoint", where)
        return None
    options = tuple(str(continuation).strip() for continuation in continuations)
    index, text = logged_index(target, options), logged_text(target, options)
    if index is not None and text is not None and index != text:
        notes.lost(f"a sample whose target {target!r} may be an index or the text of an option", where)
        return None
    right = text if index is None else index
    return question(prompts[0], Turn(text=prompts[0], options=options, right=right), where, notes)


def told(prompt: str, task: str, notes: Notebook) -> str:
    """A logged prompt as the text of one message; a conversation is told turn by turn."""
    if _TEMPLATED.search(prompt):
        notes.setting(f"{task}: prompts hold the signs of a chat template, and the endpoint applies its own", None)
    if not prompt.startswith('[{"role"'):
        return prompt
    messages = as_messages(decoded(prompt))
    if messages is None:
        return prompt
    if len(messages) > 1:
        notes.setting(f"{task}: conversations are told in one message", None)
    return as_text(messages)


def decoded(text: str) -> Any:
    """JSON as data, None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def logged_targets(target: Any) -> list[str]:
    """The expected answers of a logged sample: a log writes a list as its text in Python."""
    found = literal(target) if isinstance(target, str) else target
    return texts(found)


def logged_index(target: Any, options: Sequence[str]) -> int | None:
    """The option whose index a logged target is: a log writes numbers as texts."""
    number = literal(target) if isinstance(target, str) and target.startswith("[") else target
    number = number[0] if isinstance(number, list) and len(number) == 1 else number
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 4:
        number = int(number)
    plain = isinstance(number, int) and not isinstance(number, bool)
    return number if plain and 0 <= number < len(options) else None


def logged_text(target: Any, options: Sequence[str]) -> int | None:
    """The option whose text a logged target is."""
    text = target.strip() if isinstance(target, str) else None
    return options.index(text) if text in options else None


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


def options_of(written: Any, document: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of a document: a list as it stands, the values of a mapping, a column, or what a template lists."""
    if written is None:
        return ()
    if isinstance(written, list):
        return tuple(texts(written))
    if isinstance(written, Mapping):
        return tuple(texts(list(written.values())))
    found = setting_of(written, document, "doc_to_choice")
    if isinstance(found, str):
        found = literal(found)
    if not isinstance(found, list) or not found:
        raise ValueError("doc_to_choice is no list of options")
    return tuple(texts(found))


def target_of(written: Any, document: Mapping[str, Any], *, choice: bool) -> Json:
    """The target of a document: where a template makes it, digits are an index and a list in brackets is a list."""
    if isinstance(written, list):
        return written
    found = setting_of(written, document, "doc_to_target")
    if isinstance(written, str) and written in document:
        return found
    if isinstance(found, int | float) and not (choice and isinstance(found, int)):
        found = str(found)
    if isinstance(found, str):
        if choice and found.isascii() and found.isdigit():
            return int(found[:9])
        return literal(found) if found.startswith("[") else found
    return found


def literal(text: str) -> Any:
    """A list that is written in Python's form, or the text itself."""
    if len(text) < 2 or len(text) > MAX_LITERAL_CHARS or text[0] != "[" or text[-1] != "]":
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def setting_of(written: Any, document: Mapping[str, Any], key: str) -> Json:
    """What a setting says about a document: a column, a template, or a constant.

    Raises:
        ValueError: If it is missing, or names a column that the document lacks.
        TemplateError: If a template cannot be rendered.
    """
    if isinstance(written, int):
        return written
    if not isinstance(written, str):
        raise ValueError(f"there is no {key}")
    column = _COLUMN.fullmatch(written)
    name = column[1] if column else written
    if name in document:
        value: Json = document[name]
        if value is None:
            raise ValueError(f"{key} is null in a document: {name[:60]}")
        return value
    missing = sorted(needed(written) - document.keys())
    if missing:
        raise ValueError(f"{key} names the column {missing[0]!r}, which a document lacks")
    meaning = compiled(written).value(document)
    if meaning is UNDEFINED or meaning is None:
        raise ValueError(f"{key} says nothing about a document: {written[:80]}")
    return meaning  # type: ignore[return-value]


@lru_cache(maxsize=64)
def compiled(text: str) -> Template:
    """A template of a task, compiled once for all documents."""
    return Template.compile(text, python=True)


@lru_cache(maxsize=64)
def needed(text: str) -> frozenset[str]:
    """The columns that a template cannot do without; the harness ends where one is missing."""
    names = compiled(text).names
    if not names:
        return names
    try:
        tree: nodes.Node = _SYNTAX.parse(text)
    except TemplateSyntaxError:
        return names
    found: set[str] = set()
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.Name):
            found.add(node.name)
        # Of a condition only one side is evaluated, so a column may be named there that not all documents have.
        waiting += [node.test] if isinstance(node, nodes.If | nodes.CondExpr) else list(node.iter_child_nodes())
    return names & found
