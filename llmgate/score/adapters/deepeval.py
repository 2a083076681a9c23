"""DeepEval's metrics on our judge. Imported only where DeepEval is installed and a suite names one of its metrics."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from deepeval.metrics import BaseMetric
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase, SingleTurnParams

from llmgate.errors import JudgeError
from llmgate.score.adapters.event_loop import Bridge, foreign_request, read_model, run_foreign
from llmgate.score.adapters.registry import allowed_arguments, without_warnings
from llmgate.score.assertion.models import JudgeReply, Models, Token
from llmgate.score.assertion.rule import invalid_value
from llmgate.score.assertion.settings import least
from llmgate.score.rag.inputs import DEFAULT_THRESHOLD, Inputs, judged, unit_score

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from pydantic import BaseModel

    from llmgate.score.assertion.check import CheckContext, Consult, Finding
    from llmgate.suite.asserts import AssertSpec

__all__ = ["metrics", "prepare"]

_OURS: Final = frozenset(
    {
        "async_mode", "eval_mode", "evaluation_template", "flaky", "model", "strict_mode", "system_one_model",
        "threshold", "verbose_mode",
    }
)  # fmt: skip
_ATTACHMENT: Final = "[DEEPEVAL:"
"""Begins a reference to an image or a PDF, which DeepEval would read from a file or fetch, whoever wrote the text."""


def metrics(module: ModuleType) -> Mapping[str, type]:
    """The metrics of a single answer by name, also without `Metric` at the end."""
    exported = {name: getattr(module, name) for name in module.__all__ if name != BaseMetric.__name__}
    classes = {
        name: metric for name, metric in exported.items() if inspect.isclass(metric) and issubclass(metric, BaseMetric)
    }
    return {name.removesuffix("Metric"): metric for name, metric in classes.items()} | classes


def prepare(spec: AssertSpec, metric: type) -> Consult:
    """Reads an assert that names a metric.

    Raises:
        SuiteError: If the metric cannot be made with its arguments.
    """
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=True)
    accepted = inspect.signature(metric).parameters
    arguments = allowed_arguments(spec, metric, _OURS)
    if "evaluation_params" in accepted:
        arguments["evaluation_params"] = _fields(spec, arguments.get("evaluation_params", ["input", "actual_output"]))
    if "name" in accepted:
        arguments.setdefault("name", metric.__name__)

    def make(model: _Judge) -> Any:
        fixed = {"model": model, "threshold": threshold, "async_mode": True, "eval_mode": "llm"}
        with without_warnings():
            return metric(**arguments, **{name: value for name, value in fixed.items() if name in accepted})

    try:
        make(_Judge(Bridge(Models())))
    except Exception as error:
        raise invalid_value(spec, f"{metric.__name__} cannot be made: {error}") from error

    async def consult(context: CheckContext, models: Models) -> Finding:
        case = _case(inputs, context)
        _refuse_attachments(case)

        async def work(bridge: Bridge) -> tuple[object, str]:
            model = _Judge(bridge)
            measured = make(model)
            await measured.a_measure(LLMTestCase(**case), _show_indicator=False)
            if measured.error is not None:
                raise JudgeError(f"{spec.type}: {measured.error}")
            if getattr(measured, "verdicts", None) == []:
                raise JudgeError(f"{spec.type}: the judge found nothing to give a verdict on")
            note = " (not weighted: the judge reports no log probabilities)" if model.unweighted else ""
            return measured.score, f"{measured.reason or ''}{note}"

        value, reason = await run_foreign(spec.type, work, models)
        finding = judged(unit_score(spec.name, value), threshold, f"DeepEval {metric.__name__}")
        return replace(finding, reason=f"{finding.reason}. {reason}")

    return consult


def _fields(spec: AssertSpec, written: object) -> list[Any]:
    try:
        return [SingleTurnParams(name) for name in written]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise invalid_value(spec, f"evaluation_params: {error}", "For example [input, actual_output]") from error


def _case(inputs: Inputs, context: CheckContext) -> dict[str, Any]:
    case: dict[str, Any] = {"actual_output": inputs.answer(context)}
    case["input"] = inputs.query(context) if inputs.has(context, "query") else context.prompt
    if inputs.has(context, "reference"):
        case["expected_output"] = inputs.reference(context)
    if inputs.has(context, "context"):
        case["context"] = case["retrieval_context"] = list(inputs.passages(context))
    return case


def _refuse_attachments(case: Mapping[str, Any]) -> None:
    for texts in case.values():
        if any(_ATTACHMENT in text for text in (texts if isinstance(texts, list) else [texts])):
            raise JudgeError(f"a text holds {_ATTACHMENT!r}, which DeepEval takes for a file to read")


class _Judge(DeepEvalBaseLLM):  # type: ignore[misc]
    """DeepEval's view of our judge."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.unweighted = False
        super().__init__("llmgate")

    def load_model(self) -> _Judge:
        return self

    def get_model_name(self) -> str:
        return "llmgate"

    async def a_generate(self, prompt: str, schema: type[BaseModel] | None = None) -> Any:
        request = foreign_request(prompt, self.bridge.models, schema=schema)
        return await self.bridge.ask(request, lambda reply: _read(reply, schema))

    def generate(self, prompt: str, schema: type[BaseModel] | None = None) -> Any:
        request = foreign_request(prompt, self.bridge.models, schema=schema)
        return self.bridge.ask_now(request, lambda reply: _read(reply, schema))

    async def a_generate_raw_response(self, prompt: str, top_logprobs: int = 5) -> tuple[Any, float]:
        request = foreign_request(prompt, self.bridge.models, top_logprobs=top_logprobs)
        reply = await self.bridge.ask(request, lambda reply: reply)
        if not reply.tokens:
            self.unweighted = True
            # What DeepEval takes for "no log probabilities"; it then asks for the bare score.
            raise AttributeError("the judge reports no log probabilities")
        return _completion(reply), 0.0


def _read(reply: JudgeReply, schema: type[BaseModel] | None) -> object:
    return reply.text if schema is None else read_model(reply, schema)


def _completion(reply: JudgeReply) -> SimpleNamespace:
    """A reply with its tokens in the form of OpenAI's client."""
    message = SimpleNamespace(content=reply.text)
    logprobs = SimpleNamespace(content=[_token(token) for token in reply.tokens])
    return SimpleNamespace(choices=[SimpleNamespace(message=message, logprobs=logprobs)])


def _token(token: Token) -> SimpleNamespace:
    others = [SimpleNamespace(token=text, logprob=logprob) for text, logprob in token.alternatives.items()]
    return SimpleNamespace(token=token.text, logprob=token.logprob, top_logprobs=others)
