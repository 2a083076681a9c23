"""conversation-relevance: does each answer of a conversation belong to what was said before it?

As promptfoo has it: a judge sees a window of turns for each turn, and says of the last answer whether it is relevant;
the score is the share of windows whose answer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import invalid_value, shown
from llmgate.score.assertion.settings import flag, least, refuse_value, whole
from llmgate.score.assertion.together import all_of
from llmgate.score.judge.prompt import REASON, Question
from llmgate.score.judge.reply import agreed_object, read_reason
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "read_relevance"]

DEFAULT_THRESHOLD: Final = 0.5
DEFAULT_WINDOW: Final = 5
MOST_TURNS: Final = 200
"""Each is a question to the judge."""
COLUMN: Final = "_conversation"
ROUNDING: Final = 2.0**-52
"""How far a share may miss its threshold, as in promptfoo."""

Turn = tuple[str, str]
"""What the user says, and what the model answers."""


def _conversation_relevance(spec: AssertSpec) -> Consult:
    refuse_value(spec, "It needs none: the conversation is the case's own, or its column _conversation")
    threshold = least(spec, DEFAULT_THRESHOLD, unreachable=True)
    width = whole(spec, "windowSize", DEFAULT_WINDOW, low=1, high=MOST_TURNS)
    with_answer = flag(spec, "answer", default=False)

    async def consult(context: CheckContext, models: Models) -> Finding:
        recorded = _recorded(spec, context.variables.get(COLUMN))
        if recorded and not with_answer:
            ends = range(1, len(recorded) + 1)
            turns = recorded
        elif recorded:
            turns = [*recorded, (_asked(spec, context.prompt), context.text)]
            ends = range(1, len(turns) + 1)
        else:
            # The earlier answers stand in the prompt and are the same for every model: they are only its context.
            turns = _conversation(spec, context)
            ends = range(len(turns), len(turns) + 1)
        windows = [turns[max(0, end - width) : end] for end in ends]
        verdicts = await all_of([_QUESTION.ask(models, case=_parts(window)) for window in windows])
        relevant = sum(said for said, _ in verdicts)
        score = relevant / len(windows)
        why = "; ".join(f"judge: {reason}" for said, reason in verdicts if not said)
        found = f"{relevant} of {len(windows)} answers are relevant, wanted {threshold:g}"
        return Finding(score >= threshold - ROUNDING, score, f"{found}; {why}" if why else found)

    return consult


def _recorded(spec: AssertSpec, column: object) -> list[Turn]:
    """The turns of the column; empty where there are none."""
    if column is None or column in ("", []):
        return []
    if not isinstance(column, list) or not all(isinstance(turn, Mapping) for turn in column):
        raise invalid_value(spec, f"{COLUMN} must be a list of {{input: …, output: …}}, not {shown(column)}")
    if len(column) > MOST_TURNS:
        raise invalid_value(spec, f"{COLUMN} has {len(column)} turns, more than {MOST_TURNS}")
    return [(_said(spec, turn, "input"), _said(spec, turn, "output")) for turn in column]


def _said(spec: AssertSpec, turn: Mapping[str, object], key: str) -> str:
    said = turn.get(key)
    text = said if isinstance(said, str) else javascript.json_text(said)
    if said is None or not javascript.trim(text):
        raise invalid_value(spec, f"a turn of {COLUMN} has no {key}: {shown(turn)}")
    return text


def _conversation(spec: AssertSpec, context: CheckContext) -> list[Turn]:
    """The case's own messages, its answer last."""
    turns: list[Turn] = []
    asked: list[str] = []
    for message in context.messages:
        if message.role == "assistant":
            turns.append(("\n\n".join(asked), message.content))
            asked = []
        elif message.role == "user":
            asked.append(message.content)
    return [*turns, (_asked(spec, "\n\n".join(asked) if turns else context.prompt), context.text)]


def _asked(spec: AssertSpec, prompt: str) -> str:
    if not javascript.trim(prompt):
        raise invalid_value(spec, "there is no prompt that the answer could belong to")
    return prompt


def _parts(window: Sequence[Turn]) -> dict[str, str]:
    *before, (question, answer) = window
    said = [{"user": asked, "assistant": answered} for asked, answered in before]
    earlier = {"earlier-turns": javascript.json_text(said)} if said else {}
    return {**earlier, "question": question, "answer": answer}


def read_relevance(reply: JudgeReply) -> tuple[bool, str]:
    """Reads whether the last answer is relevant, and why.

    Raises:
        JudgeError: If the verdict is neither `yes` nor `no`, or there are two that differ.
    """
    verdict = agreed_object(reply, "verdict")
    word = verdict.get("verdict")
    if word not in ("yes", "no"):
        raise JudgeError(f"the judge's verdict is {shown(word)}, not yes or no")
    return word == "yes", read_reason(verdict)


_QUESTION: Final = Question(
    task="Say whether the answer, the last turn of a conversation, is relevant to it. Go by the turns before it, if "
    "there are any. Say no only if it has nothing at all to do with what the user said; a vague answer to a vague "
    "message, such as a greeting, is relevant.",
    form='{"reason": why, in one or two sentences, "verdict": "yes" or "no"}',
    reminder="Is the answer relevant to the conversation? Reply with the JSON object.",
    properties={"reason": REASON, "verdict": {"type": "string", "enum": ["yes", "no"]}},
    read=read_relevance,
)

TYPES: Final = (
    ModelGradedKind(
        id="conversation-relevance",
        use="does an answer belong to the conversation?",
        passes="its answers belong to what was said before",
        score="share of turns",
        threshold="0.5",
        settings={
            "windowSize": "how many turns the judge sees, 5",
            "answer": "whether the answer ends a recorded `_conversation`, false as in promptfoo",
        },
        example={"config": {"windowSize": 3}},
        prepare=_conversation_relevance,
        prompts=_QUESTION.prompts,
    ),
)
