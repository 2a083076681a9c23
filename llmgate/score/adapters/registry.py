"""Metrics of Ragas and DeepEval as assert types: `ragas:Faithfulness`, `deepeval:GEval`.

They are optional and heavy, so a library is imported when a suite names one of its metrics, and then only the version
that llmgate was tried with: another one may mean something else by the same name.
"""

from __future__ import annotations

import importlib
import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import did_you_mean
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import invalid_value
from llmgate.score.rag.inputs import PASSAGES, QUERY

if TYPE_CHECKING:
    from types import ModuleType

    from llmgate.score.assertion.check import Consult
    from llmgate.suite.asserts import AssertSpec

__all__ = ["EXTRA_KINDS", "Extra", "allowed_arguments", "without_warnings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A library whose metrics are assert types.

    Attributes:
        package: Its distribution, which is also the prefix of the types and the name of our extra.
        version: The one that llmgate was tried with.
        imports: The module that holds the metrics.
        adapter: Our module with `metrics(module)` and `prepare(spec, metric)`.
        environment: Set before it is imported: no telemetry, no reading of `.env` files.
    """

    package: str
    version: str
    imports: str
    adapter: str
    environment: Mapping[str, str]

    def kind(self, name: str) -> ModelGradedKind:
        """The kind of one metric, which may not exist: that is found out when an assert is prepared."""
        return ModelGradedKind(
            id=f"{self.package}:{name}",
            extra=self.package,
            prepare=partial(self._prepare, name),
            # The library's own prompts.
            prompts=(f"{self.package}=={self.version}: {name}",),
            version=f"1 ({self.package} {self.version})",
            settings={"arguments": "of the metric's class", "context": PASSAGES, "query": QUERY},
        )

    def _prepare(self, name: str, spec: AssertSpec) -> Consult:
        module = self._import(spec)
        adapter = importlib.import_module(self.adapter)
        metrics: Mapping[str, type] = adapter.metrics(module)
        if name not in metrics:
            known = (f"{'not-' if spec.negated else ''}{self.package}:{metric}" for metric in metrics)
            raise invalid_value(
                spec, f"{self.package} {self.version} has no such metric", did_you_mean(spec.name, known)
            )
        prepare: Callable[[AssertSpec, type], Consult] = adapter.prepare
        return prepare(spec, metrics[name])

    def _import(self, spec: AssertSpec) -> ModuleType:
        advice = f"pip install 'pytest-llmgate[{self.package}]'"
        try:
            installed = metadata.version(self.package)
        except metadata.PackageNotFoundError:
            raise invalid_value(spec, f"{self.package} is not installed", advice) from None
        if installed != self.version:
            raise invalid_value(
                spec, f"{self.package} is {installed}, but llmgate was tried with {self.version}", advice
            )
        os.environ.update(self.environment)
        try:
            with without_warnings():
                return importlib.import_module(self.imports)
        except Exception as error:
            raise invalid_value(spec, f"{self.package} cannot be imported: {error}", advice) from error


def allowed_arguments(spec: AssertSpec, metric: type, ours: frozenset[str]) -> dict[str, Any]:
    """The `config: {arguments: …}` of an assert: what a metric is made with.

    Args:
        spec: The assert.
        metric: The class.
        ours: Arguments that llmgate gives itself.

    Raises:
        SuiteError: If the metric has no such argument, or llmgate gives it.
    """
    arguments = spec.config.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise invalid_value(spec, "arguments must be a mapping", "For example {mode: irrelevant}")
    taken = {
        name
        for name, parameter in inspect.signature(metric).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    for name in arguments:
        if name not in taken - ours:
            fix = did_you_mean(str(name), taken - ours) if taken - ours else "It takes none"
            raise invalid_value(spec, f"{metric.__name__} takes no argument {name!r}", fix)
    return dict(arguments)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Another library's warnings are not ours to heed, and under `filterwarnings = error` they would be errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_EXTRAS: Final = (
    Extra(
        package="ragas",
        version="0.4.3",
        imports="ragas.metrics.collections",
        adapter="llmgate.score.adapters.ragas",
        environment={"RAGAS_DO_NOT_TRACK": "true"},
    ),
    Extra(
        package="deepeval",
        version="4.3.1",
        imports="deepeval.metrics",
        adapter="llmgate.score.adapters.deepeval",
        environment={"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "DEEPEVAL_DISABLE_DOTENV": "1"},
    ),
)

EXTRA_KINDS: Final[Mapping[str, Callable[[str], ModelGradedKind]]] = MappingProxyType(
    {f"{extra.package}:": extra.kind for extra in _EXTRAS}
)
"""Prefix of an assert type → what makes the kind of a metric from the rest of the name."""
