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
    from llmgate.record.loading import load_record
    from llmgate.score.check import CheckContext, Finding
    from llmgate.score.custom import check
    from llmgate.score.evaluate import Evaluation, evaluate_assert, evaluate_asserts
    from llmgate.score.models import JudgeReply, Token

__all__ = [
    "CheckContext",
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
    "CheckContext": "llmgate.score.check",
    "Decision": "llmgate.gate.decision.types",
    "Evaluation": "llmgate.score.evaluate",
    "Finding": "llmgate.score.check",
    "JudgeReply": "llmgate.score.models",
    "Token": "llmgate.score.models",
    "Verdict": "llmgate.gate.decision.types",
    "check": "llmgate.score.custom",
    "decide": "llmgate.gate.decide",
    "evaluate_assert": "llmgate.score.evaluate",
    "evaluate_asserts": "llmgate.score.evaluate",
    "load_record": "llmgate.record.loading",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
