"""A run that asks from the nodes of a Ray cluster: the endpoint from all of them, or a server on each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.generate.client import RetryPolicy
from llmgate.record.weights import MANIFEST_NAME
from llmgate.report.words import plural
from llmgate.session.ray.chat import SpreadChat, SpreadPlace
from llmgate.session.ray.cluster import Cluster, connect
from llmgate.session.reach.owned import identify_local, served_name, server_spec
from llmgate.session.reach.sources import local_model
from llmgate.session.reach.target import open_target
from llmgate.session.run.asking import AskedModel
from llmgate.session.settings.typed import Settings
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AsyncExitStack
    from pathlib import Path

    from llmgate.record.run.rundir import RunDir
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan

__all__ = ["ClusterAsker", "open_spread"]


@dataclass(slots=True, kw_only=True)
class ClusterAsker:
    """A cluster that a run asks from.

    Attributes:
        cluster: The cluster.
        places: The servers on its nodes, once they are up; none where an endpoint is asked.
        slots: Batches in flight at once.
    """

    cluster: Cluster
    places: Sequence[SpreadPlace] = ()
    slots: int = 0
    _settings: Settings = field(repr=False)

    @contextmanager
    def open_target(self, settings: Settings, *, log_path: Path, progress: Progress) -> Iterator[Target]:
        """The endpoint as without a cluster; or a server of the model folder on every node.

        Raises:
            ServerError: If a server does not start.
            LlmgateError: As `target.open_target`.
        """
        if settings.endpoint or not settings.model:
            with open_target(settings, log_path=log_path, progress=progress) as target:
                yield target
            return
        # It starts vLLM, which an endpoint needs not.
        from llmgate.session.ray.hosts import hosted  # noqa: PLC0415

        local = local_model(settings, settings.model, progress)
        name, manifest = served_name(settings, local), log_path.with_name(MANIFEST_NAME)
        identity = identify_local(settings, local, name, progress=progress, manifest_path=manifest)
        spec = server_spec(settings, str(local.folder), name)
        with hosted(self.cluster, spec, identity.weights_digest or "", progress=progress) as servers:
            self.places, self.slots = servers.places, servers.slots
            yield Target(
                endpoint=servers.places[0].endpoint,
                model=identity,
                server=replace(servers.server, model_names=(name,)),
                death=lambda: None,
            )

    def refuse(self, plan: Plan) -> None:
        """Refuse what cannot be asked from nodes.

        Raises:
            UsageError: If tests in code would ask servers that are on other machines, or serving would be measured
                there.
        """
        if not self.places:
            return
        if plan.tested:
            raise UsageError(
                f"the tests of {', '.join(sorted(plan.tested))} ask the model themselves, and its servers are on nodes",
                where="--on",
                fix="Serve the model, and give --endpoint",
            )
        measured = [planned.suite.name for planned in plan.suites if planned.suite.serving is not None]
        if measured and not self._settings.no_bench:
            raise UsageError(
                f"{measured[0]} measures serving, and here are {len(self.places)} servers",
                where="--on",
                fix="Add --no-bench, and measure serving in a run of its own",
            )

    async def open_model(
        self, settings: Settings, target: Target, run: RunDir, stack: AsyncExitStack, *, progress: Progress
    ) -> AskedModel:
        """The model under test, asked from all nodes; arguments as for `asking.open_model`."""
        del run, progress
        endpoints = (target.endpoint, *target.others)
        known = [replace(one, names=(*one.names, *settings.reply_names)) for one in endpoints]
        places: Sequence[SpreadPlace] = self.places or [self.cluster.place(one) for one in known]
        retry = RetryPolicy(attempts=settings.retries + 1, timeout_s=settings.timeout)
        slots = self.slots or self.cluster.slots
        chat = SpreadChat(places, concurrency=settings.concurrency, slots=slots, retry=retry)
        words = f"{settings.concurrency} in flight on {plural(len(self.cluster.nodes), 'node')}"
        return AskedModel(chat=await stack.enter_async_context(chat), in_flight=words, told=lambda: iter(()))


@contextmanager
def open_spread(settings: Settings, progress: Progress) -> Iterator[ClusterAsker]:
    """Connect to the cluster that `--on` names, and leave it with the block.

    Raises:
        UsageError: If Ray is not installed.
        CannotRunError: If the cluster cannot be used.
    """
    with connect(settings.on or "", progress) as cluster:
        yield ClusterAsker(cluster=cluster, _settings=settings)
