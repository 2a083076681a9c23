"""Scorers of Inspect's logs as asserts.

What they do: inspect_ai/scorer of inspect-ai 0.3.285. `match` looks at the end of the answer (or elsewhere, as
`location` says) without the white space and punctuation around it, `includes` anywhere in it, both without regard to
case unless told otherwise; `exact` and `f1` compare words as DROP's evaluation does.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.importers.files import listing, mapping
from llmgate.suite.importers.messages import as_messages
from llmgate.suite.importers.table import LETTERS, choice, slug, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.result import Notebook

__all__ = ["bare", "builtin", "scorer_names", "scorers", "unfit"]

_AROUND: Final = r"[\s!-\/:-@\[-`{-~]*"
"""White space and ASCII punctuation."""
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "match": frozenset({"location", "ignore_case", "numeric"}),
    "includes": frozenset({"ignore_case"}),
    "pattern": frozenset({"pattern", "ignore_case", "match_all"}),
    "answer": frozenset({"pattern"}),
    "model_graded_qa": frozenset({"model", "model_role"}),
    "model_graded_fact": frozenset({"model", "model_role"}),
}
_ANSWERS: Final = {
    "letter": r"(?s)ANSWER\s*:\s*([A-Za-z])(?:[^\w]|\n|$)(?!.*ANSWER\s*:)",
    "word": r"(?s)ANSWER\s*:\s*(\S+?)(?=[.,;:!?]?\s*(?:\n|$))(?!.*ANSWER\s*:)",
    "line": r"ANSWER\s*:\s*([^\n]+)\s*\Z",
}
"""The pattern of each kind of answer, which the model was asked to write after `ANSWER:`."""


def builtin(name: Any) -> str:
    """The name of a scorer or solver if it is Inspect's own; that of another package is kept whole."""
    return str(name).removeprefix("inspect_ai/")


def scorer_names(header: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and options of the log's scorers."""
    listed = mapping(header.get("eval")).get("scorers") or mapping(header.get("results")).get("scores")
    return [
        (builtin(entry.get("scorer") or entry.get("name")), mapping(entry.get("params") or entry.get("options")))
        for entry in map(mapping, listing(listed))
    ]


def unfit(sample: Mapping[str, Any], names: list[tuple[str, Mapping[str, Any]]]) -> str:
    """Why a sample cannot be carried over with these scorers; empty if it can."""
    if as_messages(sample.get("input")) is None:
        return "its input is no text"
    targets = texts(sample.get("target"))
    if (
        any(name == "choice" for name, _ in names)
        and [text.strip() for text in targets]
        != [text.strip() for text in targets if len(text.strip()) == 1 and text.strip().upper() in LETTERS][:1]
    ):
        return f"its target {str(sample.get('target'))[:40]!r} is not the letter of one option"
    if any(name == "includes" for name, _ in names) and not all(targets):
        return "its target is empty, and every answer includes that"
    if any(name == "includes" for name, _ in names) and any(text.casefold() != text.lower() for text in targets):
        return "its target has letters that `includes` folds and `icontains` does not"
    if any(name == "match" for name, _ in names) and not all(map(bare, targets)):
        return "nothing of its target is left without punctuation, and every answer matches that"
    return ""


def bare(text: str) -> str:
    """A text without the white space and punctuation around it."""
    return text.strip().strip(string.whitespace + string.punctuation)


def scorers(
    header: Mapping[str, Any], value: Json, options_each: list[int], where: str, notes: Notebook
) -> list[dict[str, Json]]:
    """The asserts that stand for the log's scorers, each with a metric called after it if there are several."""
    asserts: dict[str, dict[str, Json]] = {}
    for name, options in scorer_names(header):
        written = choice(value, options_each) if name == "choice" else scorer(name, options, value)
        if written is None:
            notes.lost(f"the scorer {name!r}{options_text(options)} has no counterpart", where)
            continue
        if name.startswith("model_graded"):
            notes.remark(f"{name} asks a judge; llmgate's question to it is worded otherwise", where)
        if name == "f1":
            notes.remark("f1 is averaged over samples; here a case passes from 0.5 on, and its score is kept", where)
        label = name
        while label in asserts and asserts[label] != written:
            label += "-2"
        asserts[label] = written
    if len(asserts) > 1:
        return [{**written, "metric": slug(name)} for name, written in asserts.items()]
    return list(asserts.values())


def options_text(options: Mapping[str, Any]) -> str:
    """Options in words, for messages."""
    return f" with {', '.join(map(str, options))}" if options else ""


def scorer(name: str, options: Mapping[str, Any], value: Json) -> dict[str, Json] | None:
    """The assert that stands for one scorer, None if none does.

    Args:
        name: Inspect's name.
        options: Its arguments.
        value: What reads the target column: a template, or a list of them.
    """
    given = {key for key, option in options.items() if option not in (None, False)}
    if given - _OPTIONS.get(name, frozenset()) - {"ignore_case"}:
        return None
    fold = bool(options.get("ignore_case", True))
    several_kinds = "" if isinstance(value, str) else "-any"
    drop: dict[str, Json] = {"normalise": "drop"}
    simple: dict[str, dict[str, Json]] = {
        "includes": {"type": f"{'i' if fold else ''}contains{several_kinds}", "value": value},
        "exact": {"type": "exact-match", "value": value, "config": drop},
        "f1": {"type": "f1", "value": value, "config": drop},
    }
    single: dict[str, dict[str, Json]] = {
        "model_graded_qa": {"type": "llm-rubric", "value": f"The answer is correct by this criterion: {value}"},
        "model_graded_fact": {"type": "factuality", "value": value},
    }
    if name == "match" and not options.get("numeric"):
        return {
            "type": "regex",
            "value": f"{'(?if)' if fold else '(?u)'}{located(str(options.get('location', 'end')))}",
        }
    if name == "pattern":
        return taken(options.get("pattern"), value, fold=fold) if not options.get("match_all") else None
    if name == "answer":
        return taken(_ANSWERS.get(str(options.get("pattern"))), value, fold=True)
    if name in single:
        return single[name] if isinstance(value, str) else None
    return simple.get(name)


def taken(pattern: Any, value: Json, *, fold: bool) -> dict[str, Json] | None:
    """Whether what a pattern with at most one group takes from the answer is one of the targets."""
    if groups(pattern) not in {0, 1}:
        return None
    ignored: dict[str, Json] = {"normalise": "none", **({"ignore_case": True} if fold else {})}
    transform: list[Json] = [f"match:{'(?iu)' if fold else '(?u)'}{pattern}"]
    return {"type": "exact-match", "value": value, "config": ignored, "transform": transform}


def groups(pattern: Any) -> int | None:
    """How many groups a regular expression has, None if it is none."""
    try:
        return re.compile(pattern).groups if isinstance(pattern, str) and pattern else None
    except (re.error, RecursionError, OverflowError):
        return None


def located(location: str) -> str:
    """The pattern for `match`: the target at an end of the answer, white space and punctuation aside."""
    body = "{{ target_pattern }}"
    patterns = {"begin": rf"^{_AROUND}{body}", "any": body, "exact": rf"^{_AROUND}{body}{_AROUND}\Z"}
    return patterns.get(location, rf"{body}{_AROUND}\Z")
