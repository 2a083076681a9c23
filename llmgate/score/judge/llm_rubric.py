"""llm-rubric: does the answer meet this criterion, in the judge's view, and how well?

With `config: {reference: …}` the judge is also shown a reference answer to measure by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, JudgeSampling, Models, ask_judge
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.judge.criterion import text_setting
from llmgate.score.judge.prompt import REASON, Question
from llmgate.score.judge.reply import objects_with, read_reason
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "read_verdict", "rubric_request", "rubric_rule"]

_QUESTION: Final = Question(
    task="Say whether the answer to the question meets the criterion. Where there is a reference, it is a right "
    "answer: measure by it.",
    form='{"reason": why, in one or two sentences, "pass": true or false, '
    '"score": how well the criterion is met, from 0 to 1}',
    reminder="Does the answer meet the criterion? Reply with the JSON object.",
    # The reason comes first, so that the verdict follows from it and not it from the verdict.
    properties={
        "reason": REASON,
        "pass": {"type": "boolean"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
    },
    read=lambda reply: read_verdict(reply, None),
)

MIDDLE: Final = 0.5
"""Where no threshold says from which score on the criterion is met."""


def rubric_rule(spec: AssertSpec) -> AssertRule[str]:
    """The criterion of an llm-rubric assert, per case.

    Raises:
        SuiteError: If there is none.
    """
    return AssertRule.compile(spec, lambda value: _criterion(spec, value))


def _criterion(spec: AssertSpec, value: object) -> str:
    if isinstance(value, str):
        criterion = value
    elif isinstance(value, list | Mapping):
        criterion = javascript.json_text(value) if value else ""
    elif value is None:
        criterion = ""
    else:
        raise invalid_value(spec, f"the criterion must be a text, not {javascript.json_text(value)}")
    if not javascript.trim(criterion):
        raise invalid_value(spec, "the criterion is empty, so there is nothing to judge", "Say what a good answer does")
    return criterion


def _llm_rubric(spec: AssertSpec) -> Consult:
    rule, reference = rubric_rule(spec), text_setting(spec, "reference")
    if spec.negated and spec.threshold is not None and spec.threshold > 1:
        raise invalid_value(
            spec, f"the threshold is {spec.threshold:g}, but no score is above 1, so the check cannot fail"
        )

    async def consult(context: CheckContext, models: Models) -> Finding:
        request = rubric_request(
            rule.on(context), context, models.sampling, reference=reference.on(context) if reference else None
        )
        return await ask_judge(models, request, lambda reply: read_verdict(reply, spec.threshold, spec.negated))

    return consult


def rubric_request(
    rubric: str, context: CheckContext, sampling: JudgeSampling, *, reference: str | None = None
) -> JudgeRequest:
    """Words the question: does this output meet this criterion?

    Args:
        rubric: The criterion, rendered.
        context: The output, and the prompt that it answers.
        sampling: How the reply is sampled.
        reference: A right answer to measure by.
    """
    known = {} if reference is None else {"reference": reference}
    return _QUESTION.request(
        given={"criterion": rubric},
        case={"question": context.prompt, **known, "answer": context.text},
        sampling=sampling,
    )


def read_verdict(reply: JudgeReply, threshold: float | None, negated: bool = False) -> Finding:
    """Reads a judge's reply.

    Args:
        reply: Text, or a mapping from a judge that returns parsed data.
        threshold: The least score that passes, or None to let the judge's yes or no decide alone.
        negated: Whether the check passes if the judge says no.

    Raises:
        JudgeError: If it holds no verdict, verdicts that disagree, or one that means nothing or contradicts itself.
    """
    verdicts = objects_with(reply, "pass", "score")
    if not verdicts:
        raise JudgeError(f"the judge's reply holds no verdict: {reply.text[:100]!r}")
    findings = [_finding(verdict, threshold, negated) for verdict in verdicts]
    if any((other.passed, other.score) != (findings[0].passed, findings[0].score) for other in findings):
        raise JudgeError("the judge's reply holds verdicts that disagree")
    return findings[0]


def _finding(verdict: Mapping[str, object], threshold: float | None, negated: bool) -> Finding:
    said, score = _passed(verdict), _score(verdict)
    if said is None and (score is None or threshold is None):
        raise JudgeError("the judge said neither pass nor fail")
    if said is not None and score is not None and _contradict(said, score, threshold, negated):
        raise JudgeError(f"the judge says {'pass' if said else 'fail'}, but its score is {score:g}")
    passed = bool(said)
    if said is not False and threshold is not None:
        if score is None:
            raise JudgeError(f"the judge gave no score to compare with the threshold {threshold:g}")
        passed = score >= threshold
    reason = read_reason(verdict)
    worded = f"judge: {reason}" if score is None else f"judge ({score:g}): {reason}"
    return Finding(passed, float(passed) if score is None else score, worded)


def _contradict(said: bool, score: float, threshold: float | None, negated: bool) -> bool:
    """Whether a judge's yes or no, and its score, cannot both be meant.

    A no with 0.7 may mean "mostly, but no"; so the ends alone contradict, and whatever would turn the check green.
    """
    if score == (0.0 if said else 1.0):
        return True
    if negated:
        return not said and score >= (threshold or MIDDLE)
    return said and threshold is None and score < MIDDLE


def _passed(verdict: Mapping[str, object]) -> bool | None:
    word = verdict.get("pass")
    if "pass" in verdict and not isinstance(word, bool):
        raise JudgeError(f"the judge's `pass` is {shown(word)}, which is neither true nor false")
    return word if isinstance(word, bool) else None


def _score(verdict: Mapping[str, object]) -> float | None:
    """The score as a number, None if the judge gave none."""
    if "score" not in verdict:
        return None
    score = verdict["score"]
    if not javascript.is_number(score):
        raise JudgeError(f"the judge's score is {shown(score)}, which is no number")
    if not 0 <= score <= 1:
        raise JudgeError(f"the judge's score {javascript.number_text(score)} is not between 0 and 1")
    return float(score)


TYPES: Final = (
    ModelGradedKind(
        id="llm-rubric",
        use="one criterion, in your own words",
        passes="the judge says that it meets the criterion",
        score="the judge's, 0 to 1",
        value="criterion",
        threshold="none: the judge's yes; with one also the score",
        settings={"reference": "a right answer to measure by"},
        example={"value": "Is kind to {{ x }}"},
        version="3",
        prepare=_llm_rubric,
        prompts=_QUESTION.prompts,
    ),
)
