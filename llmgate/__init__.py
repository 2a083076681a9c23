"""llmgate: a release gate for language models.

Names resolve on first use (PEP 562): pytest imports this package for its plugin in every run of the
environment, so importing it must cost next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmgate.gate.decide import decide
    from llmgate.gate.decision.types import Decision, Verdict
    from llmgate.record.run.loading import load_record
    from llmgate.score.api.evaluate import Evaluation, evaluate_assert, evaluate_asserts
    from llmgate.score.assertion.check import CheckContext, Finding
    from llmgate.score.assertion.models import JudgeReply, Token
    from llmgate.score.custom import check
    from llmgate.suite.code.definition import CodeSuite

__all__ = [
    "CheckContext",
    "CodeSuite",
    "Decision",
    "Evaluation",
    "Finding",
    "JudgeReply",
    "Token",
    "Verdict",
    "__version__",
    "check",
    "decide",
    "evaluate_assert",
    "evaluate_asserts",
    "load_record",
]

__version__ = "0.1.0"

_HOMES = {
    "CheckContext": "llmgate.score.assertion.check",
    "CodeSuite": "llmgate.suite.code.definition",
    "Decision": "llmgate.gate.decision.types",
    "Evaluation": "llmgate.score.api.evaluate",
    "Finding": "llmgate.score.assertion.check",
    "JudgeReply": "llmgate.score.assertion.models",
    "Token": "llmgate.score.assertion.models",
    "Verdict": "llmgate.gate.decision.types",
    "check": "llmgate.score.custom",
    "decide": "llmgate.gate.decide",
    "evaluate_assert": "llmgate.score.api.evaluate",
    "evaluate_asserts": "llmgate.score.api.evaluate",
    "load_record": "llmgate.record.run.loading",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "suite":
        return import_module("llmgate.suite")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
