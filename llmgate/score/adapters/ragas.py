"""Ragas' metrics on our judge. Imported only where Ragas is installed and a suite names one of its metrics."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms.base import InstructorBaseRagasLLM
from ragas.metrics.collections import BaseMetric

from llmgate.errors import UndefinedError
from llmgate.score.adapters.event_loop import Bridge, foreign_request, read_model, run_foreign
from llmgate.score.adapters.registry import allowed_arguments, without_warnings
from llmgate.score.assertion.models import Models
from llmgate.score.assertion.rule import invalid_value
from llmgate.score.assertion.settings import least
from llmgate.score.rag.inputs import DEFAULT_THRESHOLD, Inputs, judged, unit_score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from pydantic import BaseModel

    from llmgate.score.assertion.check import CheckContext, Consult, Finding
    from llmgate.suite.asserts import AssertSpec

__all__ = ["metrics", "prepare"]

_OURS: Final = frozenset({"allowed_values", "embeddings", "llm", "name"})
_LOWER_IS_BETTER: Final = frozenset({"NoiseSensitivity"})
"""Every score of llmgate is the better the higher it is."""


def metrics(module: ModuleType) -> Mapping[str, type]:
    """The metrics by name."""
    exported = ((name, getattr(module, name)) for name in module.__all__)
    return {
        name: metric
        for name, metric in exported
        if inspect.isclass(metric) and issubclass(metric, BaseMetric) and metric != BaseMetric
    }


def prepare(spec: AssertSpec, metric: type) -> Consult:
    """Reads an assert that names a metric.

    Raises:
        SuiteError: If the metric cannot be made with its arguments.
    """
    threshold, inputs = least(spec, DEFAULT_THRESHOLD), Inputs.compile(spec, reference=True)
    arguments = allowed_arguments(spec, metric, _OURS)

    def make(bridge: Bridge) -> Any:
        adapters = {"llm": _Judge(bridge), "embeddings": _Embeddings(bridge)}
        accepted = inspect.signature(metric).parameters
        with without_warnings():
            return metric(**arguments, **{name: adapter for name, adapter in adapters.items() if name in accepted})

    try:
        wanted = inspect.signature(make(Bridge(Models())).ascore).parameters
    except Exception as error:
        raise invalid_value(spec, f"{metric.__name__} cannot be made: {error}") from error

    async def consult(context: CheckContext, models: Models) -> Finding:
        given = {
            name: _input(name, inputs, context)
            for name, parameter in wanted.items()
            if parameter.default is parameter.empty or name in context.variables
        }

        async def work(bridge: Bridge) -> object:
            result = await make(bridge).ascore(**given)
            return result.value

        value = unit_score(spec.name, await run_foreign(spec.type, work, models))
        score = 1 - value if metric.__name__ in _LOWER_IS_BETTER else value
        return judged(score, threshold, f"Ragas {metric.__name__} {value:.2f}; score")

    return consult


def _input(name: str, inputs: Inputs, context: CheckContext) -> object:
    known: Mapping[str, Callable[[CheckContext], object]] = {
        "reference": inputs.reference,
        "response": inputs.answer,
        "retrieved_contexts": lambda here: list(inputs.passages(here)),
        "user_input": inputs.query,
    }
    if name in known:
        return known[name](context)
    if name in context.variables:
        return context.variables[name]
    raise UndefinedError(f"{inputs.spec.name} needs {name}", fix=f"Give the row a column {name}")


class _Judge(InstructorBaseRagasLLM):  # type: ignore[misc]
    """Ragas' view of our judge."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    async def agenerate(self, prompt: str, response_model: type[BaseModel]) -> BaseModel:
        request = foreign_request(prompt, self.bridge.models, schema=response_model)
        return await self.bridge.ask(request, lambda reply: read_model(reply, response_model))

    def generate(self, prompt: str, response_model: type[BaseModel]) -> BaseModel:
        request = foreign_request(prompt, self.bridge.models, schema=response_model)
        return self.bridge.ask_now(request, lambda reply: read_model(reply, response_model))


class _Embeddings(BaseRagasEmbedding):  # type: ignore[misc]
    """Ragas' view of our embeddings."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def embed_text(self, text: str, **_: Any) -> list[float]:
        return self.bridge.embed_now([text])[0]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        return (await self.bridge.embed([text]))[0]

    async def aembed_texts(self, texts: list[str], **_: Any) -> list[list[float]]:
        return await self.bridge.embed(texts)
