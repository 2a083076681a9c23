"""llm-rubric: what the suite asks a judge, and what a judge's reply says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmgate.errors import JudgeError
from llmgate.score.check import CheckContext, CheckKind, Evaluate, Finding
from llmgate.score.loosejson import find_objects
from llmgate.score.rule import Rule, broken
from llmgate.suite import jsvalues

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["PARSER_VERSION", "RUBRIC_CHECKS", "read_verdict", "rubric_rule"]

PARSER_VERSION = "1"
"""Raised when the same reply comes to mean something else; part of the judge's identity."""

_YES = frozenset({"true", "yes", "pass", "y"})
_NO = frozenset({"false", "no", "fail", "n"})


def rubric_rule(spec: AssertSpec) -> Rule[str]:
    """The criterion of an llm-rubric assert, per case.

    Raises:
        SuiteError: If there is none.
    """
    return Rule.compile(spec, lambda value: _criterion(spec, value))


def _criterion(spec: AssertSpec, value: object) -> str:
    if isinstance(value, str):
        criterion = value
    elif isinstance(value, list | Mapping):
        criterion = jsvalues.json_text(value) if value else ""
    elif value is None:
        criterion = ""
    else:
        raise broken(spec, f"the criterion must be a text, not {jsvalues.json_text(value)}")
    if not jsvalues.trim(criterion):
        raise broken(spec, "the criterion is empty, so there is nothing to judge", "Say what a good answer does")
    return criterion


def _llm_rubric(spec: AssertSpec) -> Evaluate:
    rule = rubric_rule(spec)

    def evaluate(context: CheckContext) -> Finding:
        rule.on(context)
        raise JudgeError(f"{spec.name} needs a judge, and none was asked", where=spec.where or None)

    return evaluate


def read_verdict(reply: object, threshold: float | None) -> Finding:
    """Reads a judge's reply.

    Args:
        reply: The text, or a mapping from a judge that returns parsed data.
        threshold: The least score that passes, or None to let the judge's yes or no decide alone.

    Raises:
        JudgeError: If it holds no verdict, two verdicts that disagree, or one that means nothing.
    """
    if isinstance(reply, str):
        verdicts = [found for found in find_objects(reply) if "pass" in found or "score" in found]
        if not verdicts:
            raise JudgeError(f"the judge's reply holds no verdict: {reply[:100]!r}")
    elif isinstance(reply, Mapping):
        verdicts = [dict(reply)]
    else:
        raise JudgeError(f"the judge's reply is no verdict but a {type(reply).__name__}")
    findings = [_finding(verdict, threshold) for verdict in verdicts]
    if any((other.passed, other.score) != (findings[0].passed, findings[0].score) for other in findings):
        raise JudgeError("the judge's reply holds verdicts that disagree")
    return findings[0]


def _finding(verdict: Mapping[str, object], threshold: float | None) -> Finding:
    passed, score = _passed(verdict.get("pass")), _score(verdict.get("score"))
    if passed is None and (score is None or threshold is None):
        raise JudgeError("the judge said neither pass nor fail")
    if passed is not False and threshold is not None:
        if score is None:
            raise JudgeError(f"the judge gave no score to compare with the threshold {threshold:g}")
        passed = score >= threshold
    reason = verdict.get("reason")
    return Finding(bool(passed), float(bool(passed)) if score is None else score, _worded(reason, score))


def _worded(reason: object, score: float | None) -> str:
    said = reason if isinstance(reason, str) and reason.strip() else "the judge gave no reason"
    return f"judge: {said}" if score is None else f"judge ({score:g}): {said}"


def _passed(word: object) -> bool | None:
    if word is None or isinstance(word, bool):
        return word
    if isinstance(word, str) and word.lower() in _YES | _NO:
        return word.lower() in _YES
    raise JudgeError(f"the judge's `pass` is {jsvalues.json_text(word)[:60]}, which is neither yes nor no")


def _score(score: object) -> float | None:
    """The score as a number, None if the judge gave none. A text counts if it is a number, as in promptfoo."""
    number = math.nan
    if jsvalues.is_number(score) or (isinstance(score, str) and jsvalues.trim(score)):
        number = jsvalues.to_number(score)
    if math.isnan(number):
        return None
    if not 0 <= number <= 1:
        raise JudgeError(f"the judge's score {jsvalues.number_text(number)} is not between 0 and 1")
    return number


RUBRIC_CHECKS: Mapping[str, CheckKind] = {"llm-rubric": CheckKind(prepare=_llm_rubric, judged=True)}
