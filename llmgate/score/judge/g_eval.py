"""g-eval: the judge first derives steps from the criterion, then follows them and gives a score from 0 to 10.

The steps depend on the criterion alone. They are asked once for all cases of a run, or given in the suite by
`config: {steps: […]}`, which also keeps them the same from run to run. `logprobs: false` is for endpoints that refuse
to report probabilities.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import flag, least
from llmgate.score.judge.logprob_score import BEST, expected_score
from llmgate.score.judge.prompt import REASON, Question
from llmgate.score.judge.reply import read_reason, the_object
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "read_score", "read_steps"]

DEFAULT_THRESHOLD: Final = 0.7
MOST_STEPS: Final = 20


def _g_eval(spec: AssertSpec) -> Consult:
    rule = AssertRule.compile(spec, lambda value: _criteria(spec, value))
    steps, threshold = _given_steps(spec), least(spec, DEFAULT_THRESHOLD, unreachable=True)
    question = _SCORE if flag(spec, "logprobs", default=True) else replace(_SCORE, top_logprobs=0)

    async def consult(context: CheckContext, models: Models) -> Finding:
        scores, reasons = [], []
        # One after another: a scripted judge answers in the order of the criteria.
        for criterion in rule.on(context):
            parts = {"criterion": criterion, "steps": _numbered(steps or await _derived_steps(criterion, models))}
            case = {"question": context.prompt, "answer": context.text}
            score, reason = await question.ask(models, given=parts, case=case)
            scores.append(score)
            reasons.append(reason)
        mean = sum(scores) / len(scores)
        return Finding(mean >= threshold, mean, f"judge ({mean:.3g}, wanted {threshold:g}): {'; '.join(reasons)}")

    return consult


def _criteria(spec: AssertSpec, value: object) -> list[str]:
    criteria = []
    for criterion in value if isinstance(value, list) else [value]:
        if not isinstance(criterion, str):
            raise invalid_value(spec, f"a criterion must be a text, not {shown(criterion)}")
        if not javascript.trim(criterion):
            raise invalid_value(
                spec, "a criterion is empty, so there is nothing to judge", "Say what a good answer does"
            )
        criteria.append(criterion)
    if not criteria:
        raise invalid_value(spec, "the list of criteria is empty, so there is nothing to judge")
    return criteria


def _given_steps(spec: AssertSpec) -> list[str] | None:
    if "steps" not in spec.config:
        return None
    if isinstance(spec.value, list):
        raise invalid_value(
            spec, "`steps` belong to one criterion, but there is a list", "Write an assert for each criterion"
        )
    steps = spec.config["steps"]
    if not _are_steps(steps):
        raise invalid_value(spec, f"`steps` must be a list of 1 to {MOST_STEPS} texts")
    return steps


def _are_steps(steps: object) -> TypeIs[list[str]]:
    return (
        isinstance(steps, list)
        and 1 <= len(steps) <= MOST_STEPS
        and all(isinstance(step, str) and javascript.trim(step) for step in steps)
    )


async def _derived_steps(criterion: str, models: Models) -> list[str]:
    key = ("g-eval steps", models.default, criterion)
    return await models.memo.once(key, lambda: _STEPS.ask(models, given={"criterion": criterion}, case={}))


def read_steps(reply: JudgeReply) -> list[str]:
    """Reads the steps that a judge wants to take.

    Raises:
        JudgeError: If it gave none, too many, or blank ones.
    """
    steps = the_object(reply, "steps").get("steps")
    if not _are_steps(steps):
        raise JudgeError(f"the judge's steps are no list of 1 to {MOST_STEPS} texts: {reply.text[:100]!r}")
    return steps


def _numbered(steps: list[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


def read_score(reply: JudgeReply) -> tuple[float, str]:
    """Reads a score and its reason.

    Returns:
        The score as a fraction; weighted by the probabilities of all scores where the judge reports them.

    Raises:
        JudgeError: If there is no one score from 0 to 10, or no reason.
    """
    verdict = the_object(reply, "score")
    written, reason = verdict.get("score"), verdict.get("reason")
    if not isinstance(reason, str) or not javascript.trim(reason):
        raise JudgeError("the judge gave no reason for its score")
    if not javascript.is_number(written):
        raise JudgeError(f"the judge's score is {shown(written)}, which is no number")
    score = float(written)
    if not 0 <= score <= BEST:
        raise JudgeError(f"the judge's score {shown(written)} is not between 0 and {BEST}")
    return expected_score(reply.tokens, score) / BEST, read_reason(verdict)


_STEPS: Final = Question(
    task="You are given a criterion by which answers to questions will be scored. Write the steps that lead from an "
    "answer to its score: three or four, short, in order, each something to do.",
    form='{"steps": [a text for each step]}',
    reminder="Which steps? Reply with the JSON object.",
    properties={"steps": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_STEPS}},
    read=read_steps,
)
_SCORE: Final = Question(
    task="Score the answer to the question by the criterion. Follow the steps. 0 means that the criterion is not met "
    "at all, 10 that it is met perfectly.",
    form='{"reason": what the steps brought to light, in one or two sentences, "score": a whole number from 0 to 10}',
    reminder="Which score does the answer get? Reply with the JSON object.",
    # The score is last, so that its probabilities are those after the reason.
    properties={"reason": REASON, "score": {"type": "integer", "minimum": 0, "maximum": BEST}},
    top_logprobs=20,
    read=read_score,
)

TYPES: Final = (
    ModelGradedKind(
        id="g-eval",
        use="the criterion needs several steps",
        passes="it scores well, by steps that the judge derives",
        score="0 to 10 as a fraction, weighted by log probabilities where there are any",
        value="criterion, or a list",
        threshold="0.7",
        settings={"steps": "list, instead of the judge's own", "logprobs": "whether the judge reports them, true"},
        example={"value": ["Is kind to {{ x }}", "Is short"]},
        prepare=_g_eval,
        prompts=(*_STEPS.prompts, *_SCORE.prompts),
    ),
)
