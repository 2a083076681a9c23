"""Writes a log of Inspect whose every score is known: sys.argv[1] is the folder for it."""

import sys

from inspect_ai import Task, task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import Score, includes, mean, scorer
from inspect_ai.solver import solver
from inspect_ai.util import LimitExceededError

ANSWERS = {
    "right": ["x", "x"],
    "half": ["x", "y"],
    "wrong": ["y", "y"],
    "broken": ["x", None],
    "cut": ["x", "LIMIT"],
}


@solver
def scripted():
    async def solve(state, generate):
        answer = ANSWERS[state.sample_id][state.epoch - 1]
        if answer is None:
            raise RuntimeError("the server broke")
        if answer == "LIMIT":
            raise LimitExceededError("token", value=11, limit=10)
        state.output = ModelOutput.from_content("mockllm/model", answer)
        return state

    return solve


@scorer(metrics={"graded": [mean()], "letter": [mean()]})
def parts():
    async def score(state, target):
        return Score(value={"graded": 0.25, "letter": state.output.completion == "x"})

    return score


@task
def known():
    samples = [Sample(id=name, input=name, target="x", metadata={"area": name[0]}) for name in ANSWERS]
    return Task(dataset=samples, solver=scripted(), scorer=[includes(), parts()], epochs=2)


for kind in ("eval", "json"):
    evaluate(known(), model="mockllm/model", log_dir=sys.argv[1], log_format=kind, fail_on_error=False, display="none")
