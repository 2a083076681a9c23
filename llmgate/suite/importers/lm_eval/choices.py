"""Options of multiple-choice questions: lettered once, and in an order that does not give the answer away.

The harness compares the likelihoods of options and never shows where they stand, so tasks may keep the right one
always at the same place; a model that reads the options would only have to learn the place.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.suite.asserts import Json
from llmgate.suite.importers.table import LETTERS, choice, lettered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.suite.importers.lm_eval.docs import AskedDocument
    from llmgate.suite.importers.result import Notebook

__all__ = ["Lettered", "labels_in", "letter_questions", "own_labels"]

_KINDS: Final = (LETTERS, LETTERS.lower(), "123456789", "0123456789")
_LABEL: Final = re.compile(r"\(?([A-Za-z0-9])[).:\]]?")
_ONE_SIDED: Final = 0.9
"""The share of questions with the right option at the same place from which the place gives the answer away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lettered:
    """Questions as they are asked.

    Attributes:
        records: The columns `prompt`, `target` and `choices` of each.
        written: The assert that tells whether the right option was chosen.
    """

    records: list[dict[str, Json]]
    written: dict[str, Json]


def letter_questions(questions: Sequence[AskedDocument], where: str, notes: Notebook, *, constant: bool) -> Lettered:
    """Give each question's options labels, unless it has them already.

    Args:
        questions: Questions with options.
        where: The task's file.
        notes: What a reader should know.
        constant: Whether the task says that the same place is always right.
    """
    notes.setting("options were compared by likelihood; here the label of one is asked for", where)
    shown = [own_labels(one.text, one.options) or labels_in(one.text, one.options) for one in questions]
    marks = all(labels and not labels.isupper() for labels in shown)
    if not marks and any(labels and not labels.isupper() for labels in shown):
        notes.remark("some questions list their options under other signs than letters; they are listed again", where)
        shown = [labels if labels and labels.isupper() else None for labels in shown]
    listed = [i for i, labels in enumerate(shown) if labels]
    if listed:
        notes.remark("the question lists the options already, so they are not listed again", where)
    places = Counter(one.right for one in questions)
    most = max(places.values(), default=0)
    told = constant or (len(questions) > 1 and most >= _ONE_SIDED * len(questions))
    if told and listed:
        notes.remark("the right option stands nearly always at the same place of the question, as in the task", where)
    if told and len(listed) < len(questions):
        notes.remark(
            "the right option stood at the same place in nearly all documents; options are shuffled, "
            "each document's by a hash of its text",
            where,
        )
    records = [record(one, labels, shuffled=told, signs=marks) for one, labels in zip(questions, shown, strict=True)]
    if marks:
        exact: dict[str, Json] = {"normalise": "none", "ignore": ["[^0-9A-Za-z]"], "ignore_case": True}
        return Lettered(records=records, written={"type": "exact-match", "value": "{{ target }}", "config": exact})
    written = choice("{{ target }}", [len(one.options) for one in questions])
    return Lettered(records=records, written=written)


def record(one: AskedDocument, labels: str | None, *, shuffled: bool, signs: bool) -> dict[str, Json]:
    """The columns of one question."""
    if labels:
        what = "nothing but the sign" if signs else "the letter"
        prompt = f"{one.text.rstrip()}\n\nAnswer with {what} of the right option."
        return {"prompt": prompt, "target": labels[one.right], "choices": list(one.options)}
    order = shuffled_order(one) if shuffled else list(range(len(one.options)))
    options = [one.options[i].strip() for i in order]
    right = LETTERS[order.index(one.right)]
    return {"prompt": lettered(one.text.rstrip(), options), "target": right, "choices": list(options)}


def shuffled_order(one: AskedDocument) -> list[int]:
    """An order of the options that depends on nothing but the question and their texts."""
    seed = json.dumps([one.text, sorted(one.options)])
    digests = [hashlib.sha256(f"{seed}\n{option}".encode("utf-8", "replace")).digest() for option in one.options]
    return sorted(range(len(one.options)), key=lambda i: (digests[i], i))


def own_labels(question: str, options: Sequence[str]) -> str | None:
    """The labels that the options are, such as `A`, `(B)` or `3.`, if the question says what each stands for."""
    found = [_LABEL.fullmatch(option.strip()) for option in options]
    labels = label_set([match[1] for match in found if match], len(options))
    explained = labels and all(re.search(rf"(?<![A-Za-z0-9])\(?{one}[).:\]]+\s{{0,3}}\S", question) for one in labels)
    return labels if explained else None


def labels_in(question: str, options: Sequence[str]) -> str | None:
    """The labels under which a question lists all of its options, None if it does not."""
    labels = []
    for option in options:
        text = option.strip()
        if not text:
            return None
        end = r"(?!\w)" if text[-1].isalnum() else ""
        found = re.findall(rf"(?<![A-Za-z0-9])\(?([A-Za-z0-9])[).:\]]+\s{{0,3}}{re.escape(text)}{end}", question)
        if not found:
            return None
        labels.append(found[-1])
    return label_set(labels, len(options))


def label_set(labels: Sequence[str], count: int) -> str | None:
    """Labels in one text, if there is one for each option, and they are the first ones of their kind."""
    if len(labels) != count or count < 2:
        return None
    return next(("".join(labels) for kind in _KINDS if sorted(labels) == sorted(kind[:count])), None)
