"""The adapters that a run names: checked, identified with their base, and shown to be kept apart by the server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import ServerError, UsageError
from llmgate.generate.endpoint import ask
from llmgate.generate.vllm.adapter_probe import check_apart
from llmgate.generate.vllm.adapters import Adapter, read_adapter
from llmgate.record.manifest import ModelIdentity, adapted_digest
from llmgate.report.visible import one_line
from llmgate.session.reach.sources import local_model
from llmgate.session.reach.weights import hash_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.session.progress import Progress
    from llmgate.session.reach.sources import LocalModel
    from llmgate.session.settings.typed import Settings
    from llmgate.session.target import Target

__all__ = ["NamedAdapter", "beside_it", "named_adapters", "tell_apart"]

PROBE_S: Final = 300.0
"""For one of the questions that tell models apart: all of them are in flight at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAdapter:
    """An adapter that is served beside its base.

    Attributes:
        adapter: What vLLM loads.
        model: Its identity with its base's.
    """

    adapter: Adapter
    model: ModelIdentity


def named_adapters(
    settings: Settings, base: LocalModel, identity: ModelIdentity, *, tested: str | None = None, progress: Progress
) -> tuple[NamedAdapter, ...]:
    """The adapters of the settings, checked against the base that they are served on.

    Args:
        settings: Name them.
        base: Where the base lies.
        identity: Of the base.
        tested: The name of the model under test, None if it is none of these: it alone is the version that the run
            judges, however many are served beside it.
        progress: Told about hashing, and what speaks against them.

    Raises:
        UsageError: If one is called as the base is.
        ServerError: If vLLM cannot serve one on this base.
        WeightsError: If a folder has no identity.
    """
    found = []
    for name, place in settings.adapter.items():
        if name == identity.name:
            raise UsageError(f"an adapter and its base are both called {name!r}", where="--adapter", fix="Rename it")
        local = local_model(settings, place, progress)
        adapter = read_adapter(name, local.folder, base=base.folder)
        for warning in adapter.warnings:
            progress.stage(f"warning: {one_line(warning, 400)}")
        own = hash_folder(local.folder, progress, trust_cache=settings.trust_weights_cache).digest
        whole = adapted_digest(identity.weights_digest, own) if identity.weights_digest else None
        model = replace(
            identity,
            name=name,
            source=local.source,
            revision=local.revision,
            registry_uri=settings.registry_uri if name == tested else local.registry_uri,
            weights_digest=whole,
            base=identity.weights_digest or "",
            adapter=own,
        )
        found.append(NamedAdapter(adapter=adapter, model=model))
    return tuple(found)


def beside_it(target: Target, model: ModelIdentity) -> Target:
    """Another model that the same server serves, by its name."""
    return replace(
        target,
        endpoint=replace(target.endpoint, model=model.name),
        model=model,
        server=replace(target.server, model_names=(model.name,)),
    )


def tell_apart(target: Target, models: Mapping[str, ModelIdentity], *, progress: Progress) -> frozenset[frozenset[str]]:
    """Have a server show that it keeps a base and its adapters apart, in a mixed batch too.

    Args:
        target: Any model on the server.
        models: All that matter, by their names, the base first.
        progress: Told about it.

    Returns:
        The pairs of other weights that cannot be told from each other: nothing shows that they are kept apart.

    Raises:
        ServerError: If it does not, or nothing shows it.
    """
    names, where = tuple(models), f"vLLM server at {target.endpoint.url}"
    progress.stage(f"asking {', '.join(map(_shown, names))} alone and mixed, to see that each answers as itself")

    def ask_it(body: Mapping[str, object]) -> tuple[int, object]:
        url = f"{target.endpoint.url}/completions"
        return ask("POST", url, body=body, api_key=target.endpoint.api_key, timeout_s=PROBE_S)

    try:
        found = check_apart(ask_it, names, where=where)
    except ServerError as error:
        if reason := target.death():
            raise ServerError(reason, where=where, fix="Its log may say why") from error
        raise
    alike = set()
    for one, other in found.alike:
        if models[one].weights_digest is not None and models[one].weights_digest == models[other].weights_digest:
            continue
        alike.add(frozenset((one, other)))
        what = f"{_shown(other)} answers as {_shown(one)} does, or too nearly ({found.noise:.3f} nats are noise)"
        then = (
            "was it trained, and saved?"
            if target.beside and one == names[0]
            else "nothing shows that the server keeps them apart, so serving is not compared on it"
        )
        progress.stage(f"warning: {what}: {then}")
    if not alike and found.nearest < float("inf"):
        progress.stage(
            f"each answers as itself: models differ by {found.nearest:.2f} nats and more, one model's answers by "
            f"{found.noise:.3f}, and in a mixed batch by {found.worst:.0%} of what could be another's"
        )
    return frozenset(alike)


def _shown(name: str) -> str:
    return one_line(name, 60)
