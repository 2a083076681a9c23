"""One measurement of one server: what a single figure, a sweep and both arms of a comparison have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.bench.client.load import measure_serving
from llmgate.bench.workload.build import build_workload, load_of
from llmgate.errors import UsageError
from llmgate.record.schema import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.bench.client.load import Watch
    from llmgate.bench.workload.workload import Workload
    from llmgate.record.serving.plan import ServingSpec
    from llmgate.record.serving.trace import ServingTrace
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["VLLM", "Prompts", "load_words", "measure_once", "refuse_limits", "workload_of"]

VLLM = "vllm"
Prompts = Sequence[Sequence[Message | Mapping[str, object]]]


def refuse_limits(settings: Settings) -> None:
    """Refuse to measure a server below a limit of the client's own.

    Raises:
        UsageError: If there is one.
    """
    if settings.limit:
        raise UsageError(
            f"serving is to be measured, and of a client that asks {settings.limit} the limit would be measured",
            where="--rpm and --tpm",
            fix="Leave them out (or give 0 where pyproject.toml sets them), or skip the measurement with --no-bench",
        )


def workload_of(spec: ServingSpec, prompts: Prompts, *, name: str, model: str, ignore_eos: bool) -> Workload:
    """What is sent to a model.

    Args:
        spec: What is measured.
        prompts: The suite's own, for workloads that are made of them.
        name: Of the suite, or the name given to `llmgate bench`.
        model: Its name in requests.
        ignore_eos: Fixed lengths: a model that talks less must not look faster. Only vLLM knows the field.
    """
    return build_workload(
        spec.workload,
        prompts,
        name=name,
        model=model,
        max_tokens=spec.max_tokens,
        ignore_eos=ignore_eos,
        requests=spec.requests,
    )


async def measure_once(
    target: Target,
    spec: ServingSpec,
    prompts: Prompts,
    *,
    name: str,
    watches: Sequence[Watch],
    on_progress: Callable[[int, int], None],
) -> ServingTrace:
    """Measure a server once.

    Args:
        target: The server.
        spec: What is sent, and when.
        prompts: As for `workload_of`.
        name: Likewise.
        watches: Observe meanwhile.
        on_progress: Called with (ended, planned).

    Raises:
        BenchError: If it cannot be reached.
    """
    model, vllm = target.endpoint.model, target.server.engine == VLLM
    return await measure_serving(
        workload_of(spec, prompts, name=name, model=model, ignore_eos=vllm),
        replace(target.endpoint, names=target.server.model_names),
        load_of(spec),
        watches=watches,
        on_progress=on_progress,
    )


def load_words(spec: ServingSpec) -> str:
    """How hard the server is worked, in words."""
    arrivals, most = spec.arrivals, f", {spec.concurrency} in flight at most" if spec.concurrency else ""
    if arrivals.kind == "closed":
        return f"{spec.concurrency} in flight"
    if arrivals.kind == "trace":
        return f"at recorded times{f', {arrivals.speed:g} times as fast' if arrivals.speed != 1 else ''}{most}"
    if arrivals.kind == "ramp":
        return f"{arrivals.rate_from:g} to {arrivals.rate:g} per second{most}"
    bursts = f", burstiness {arrivals.burstiness:g}" if arrivals.kind == "gamma" else ""
    return f"{arrivals.rate:g} per second, {arrivals.kind}{bursts}{most}"
