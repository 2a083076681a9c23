"""vLLM on the nodes of a cluster, one server per actor: started there, asked from beside it, ended with the run.

Every node needs the model's folder under the same path. Before a server starts, its node's copy is hashed: it must be
the model whose identity is in the record.

Tested on nodes without GPUs, one server per node. With GPUs a node gets as many servers as its GPUs suffice for, each
with the GPUs that its parallelism takes; a server that takes more than one node has is none of ours: serve it with Ray
Serve LLM or vLLM's own multi-node start, and name its endpoint.
"""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, ServerError
from llmgate.generate.client import Endpoint
from llmgate.generate.vllm.server import ServerSpec, launch
from llmgate.record.manifest import ServerIdentity
from llmgate.record.weights import weights_digest
from llmgate.session.ray.cluster import one_sentence, translated
from llmgate.session.ray.task import BatchReply, ask_questions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from llmgate.session.progress import Progress
    from llmgate.session.ray.cluster import Cluster, RayNode
    from llmgate.session.ray.task import QuestionBatch

__all__ = ["HostPlace", "Hosted", "ModelHost", "gpus_each", "hosted"]

PARALLEL: Final = {
    "tensor-parallel-size": "tensor-parallel-size",
    "tp": "tensor-parallel-size",
    "pipeline-parallel-size": "pipeline-parallel-size",
    "pp": "pipeline-parallel-size",
    "data-parallel-size": "data-parallel-size",
    "dp": "data-parallel-size",
}
"""Flags whose values multiply to the GPUs of a server, as vLLM spells them."""
POLL_S: Final = 1.0
BATCHES: Final = 2
"""Batches that a server has in hand: one that it works on, and one that waits for it."""


class ModelHost:
    """What Ray runs as an actor: one server, for as long as the actor lives.

    Args:
        spec: What to start.
        weights: Digest that the model's folder must have here.

    Raises:
        ServerError: If the folder holds another model, or the server does not start.
    """

    def __init__(self, spec: ServerSpec, weights: str) -> None:
        found = weights_digest(Path(spec.model))
        if found != weights:
            raise ServerError(
                f"the folder holds another model here: its digest is {found[:12]}, and {weights[:12]} is gated",
                where=f"{os.uname().nodename}:{spec.model}",
                fix="Copy the same model to every node",
            )
        self._folder = tempfile.TemporaryDirectory(prefix="llmgate-host-")
        self._server = launch(replace(spec, log_path=Path(self._folder.name) / "server.log"))
        try:
            self._server.wait_ready()
        except BaseException:
            self._server.stop()
            raise

    def identity(self) -> ServerIdentity:
        """What serves here."""
        return self._server.identity()

    async def ask(self, batch: QuestionBatch) -> BatchReply:
        """Carry out a batch at this server; a server that dies meanwhile may leave its connections open."""
        endpoint = replace(batch.endpoint, url=f"{self._server.url}/v1")
        asking = asyncio.create_task(ask_questions(replace(batch, endpoint=endpoint)))
        while not (await asyncio.wait({asking}, timeout=POLL_S))[0]:
            if died := self._server.death_reason():
                asking.cancel()
                nothing = len(batch.questions)
                return BatchReply(answers=(None,) * nothing, reasons=((),) * nothing, gone=died)
        died = self._server.death_reason()
        return replace(asking.result(), gone=died) if died else asking.result()

    def close(self) -> None:
        """End the server."""
        self._server.stop()
        self._folder.cleanup()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlace:
    """A server on a node.

    Attributes:
        endpoint: Who is asked there; its URL is one of that node's own.
        actor: Ray's.
        ray: The library.
    """

    endpoint: Endpoint
    actor: Any = field(repr=False)
    ray: Any = field(repr=False)

    def send(self, batch: QuestionBatch) -> Future[BatchReply]:
        """Carry out a batch."""
        return translated(self.actor.ask.remote(batch).future(), self.ray)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """The servers of a run.

    Attributes:
        places: Where they are asked.
        server: What they are; all are the same.
    """

    places: tuple[HostPlace, ...]
    server: ServerIdentity

    @property
    def slots(self) -> int:
        """Batches in flight at once."""
        return BATCHES * len(self.places)


@contextmanager
def hosted(cluster: Cluster, spec: ServerSpec, weights: str, *, progress: Progress) -> Iterator[Hosted]:
    """Start a server wherever one fits, and end them with the block.

    Args:
        cluster: Where.
        spec: What to start; its port is chosen by each node.
        weights: Digest of the model's folder.
        progress: Told about the start; may raise to end it.

    Raises:
        ServerError: If none fits, one does not start, or two of them are of different versions or flags.
    """
    seats = seats_of(cluster.nodes, gpus_each(spec.flags))
    progress.stage(f"starting {len(seats)} servers on {len({node.id for node, _ in seats})} nodes")
    ray = cluster.ray
    on_node = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    make = ray.remote(ModelHost)
    actors = [
        make.options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=0,
            max_concurrency=BATCHES + 1,
            scheduling_strategy=on_node(node.id, soft=False),
        ).remote(replace(spec, port=None, log_path=None), weights)
        for node, gpus in seats
    ]
    try:
        found = [started(ray, actor, node, progress) for actor, (node, _) in zip(actors, seats, strict=True)]
        first = replace(found[0], url="")
        for other, (node, _) in zip(found, seats, strict=True):
            if replace(other, url="") != first:
                raise ServerError(
                    f"the server is {other.engine} {other.version} with {' '.join(other.flags)}, and others are not",
                    where=f"node {node.address}",
                    fix="Install the same vLLM on all nodes",
                )
        yield Hosted(
            places=tuple(
                HostPlace(endpoint=Endpoint(url=f"{each.url}/v1", model=spec.served_name), actor=actor, ray=ray)
                for each, actor in zip(found, actors, strict=True)
            ),
            server=first,
        )
        progress.stage("stopping the servers")
    finally:
        end(ray, actors)


def started(ray: Any, actor: Any, node: RayNode, progress: Progress) -> ServerIdentity:
    """What serves on a node, once it does.

    Raises:
        ServerError: If it does not.
    """
    told = actor.identity.remote()
    while True:
        progress.check()
        ready, _ = ray.wait([told], timeout=POLL_S)
        if ready:
            break
    try:
        identity: ServerIdentity = ray.get(told)
    except Exception as error:
        raise ServerError(
            f"the server did not start: {one_sentence(error)}",
            where=f"node {node.address}",
            fix="See that the model and vLLM are on every node, as --model and --server-python name them",
        ) from error
    return identity


def end(ray: Any, actors: Sequence[Any]) -> None:
    """End all servers, and then the actors: an actor that is killed has no time to end anything."""
    closing = [actor.close.remote() for actor in actors]
    try:
        ray.wait(closing, num_returns=len(closing), timeout=30.0)
    finally:
        for actor in actors:
            ray.kill(actor)


def seats_of(nodes: Sequence[RayNode], gpus: int) -> list[tuple[RayNode, int]]:
    """Where servers fit, with the GPUs of each: on every node as many as its GPUs suffice for; without any, one.

    Raises:
        ServerError: If none fits.
    """
    if not any(node.gpus for node in nodes):
        return [(node, 0) for node in nodes]
    seats = [(node, gpus) for node in nodes for _ in range(int(node.gpus) // gpus)]
    if not seats:
        most = max(int(node.gpus) for node in nodes)
        raise ServerError(
            f"a server takes {gpus} GPUs, and no node has more than {most}",
            where="--on",
            fix="Serve it with Ray Serve LLM or vLLM over several nodes, and name it with --endpoint",
        )
    return seats


def gpus_each(flags: Sequence[str]) -> int:
    """The GPUs that a server with these flags takes.

    Raises:
        CannotRunError: If a size is no number.
    """
    sizes = dict.fromkeys(PARALLEL.values(), 1)
    for at, flag in enumerate(flags):
        name, equals, value = flag.partition("=")
        size = PARALLEL.get(name.lstrip("-").replace("_", "-")) if name.startswith("-") else None
        if size is None:
            continue
        text = value if equals else (flags[at + 1] if at + 1 < len(flags) else "")
        if not text.isascii() or not text.isdecimal() or int(text) < 1:
            raise CannotRunError(f"{name} is {text!r}", where="--server-args", fix="Give a whole number")
        sizes[size] = int(text)
    return math.prod(sizes.values())
