"""How the champion's run came about, in a sentence: nothing of it changes a verdict, all of it the chances of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.gate.decision.wording import count

if TYPE_CHECKING:
    from llmgate.gate.decision.baseline_types import BaselineFacts

__all__ = ["baseline_sentence"]

WORTH_TELLING: Final = 0.001
"""A gate that fails an unchanged model more rarely than that is not one whose baseline does harm."""


def baseline_sentence(facts: BaselineFacts) -> str:
    """To follow `Baseline`, with its full stop."""
    fails, fresh, unlucky = facts.fail_if_unchanged, facts.fail_if_fresh, facts.unlucky
    if facts.how == "fresh":
        return "the champion was asked again beside this run, so nobody chose its answers."
    answers = f"the champion's answers {_age(facts.age_days)}"
    if facts.how == "selected":
        chance = ""
        if fails is not None and fresh is not None and fails >= WORTH_TELLING:
            chance = f": an unchanged model fails {_percent(fails)} of the time instead of {_percent(fresh)}"
        return f"{answers} and are the run that earned its promotion{chance}."
    if facts.how == "stored":
        chance = ""
        if unlucky is not None and fresh is not None and fresh >= WORTH_TELLING:
            chance = (
                f": an unchanged model fails {_percent(fresh)} of the time against such a run on average, and "
                f"{_percent(unlucky)} or more against one in ten"
            )
        return f"{answers}, and were not chosen for being good{chance}."
    return f"{answers}, and its record does not say whether they were chosen for being good."


def _age(days: int | None) -> str:
    if days is None:
        return "are of an unknown age"
    return "are less than a day old" if days == 0 else f"are {count(days, 'day')} old"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"
