"""A Ray cluster: connected to, looked at, and left. Ray is imported here, and nowhere else."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import llmgate
from llmgate.errors import CannotRunError, UsageError
from llmgate.generate.client import Endpoint
from llmgate.session.ray.chat import LostError
from llmgate.session.ray.task import about_node, ask_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from llmgate.session.progress import Progress
    from llmgate.session.ray.task import BatchReply, QuestionBatch

__all__ = ["Cluster", "ClusterPlace", "RayNode", "connect"]

RETRIES: Final = 5
"""How often Ray sends a task again whose worker or node died."""
REACH_S: Final = 10.0
CLIENT_TRIES: Final = 3
LOOK_S: Final = 120.0
"""So long a node may take to start its first worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayNode:
    """A node that is alive.

    Attributes:
        id: Ray's.
        address: Its address, for messages.
        cpus: Processors that Ray hands out.
        gpus: Accelerators that Ray hands out.
    """

    id: str
    address: str
    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        address: As `--on` has it.
        nodes: Those that were alive when the run began.
        ray: The library.
    """

    address: str
    nodes: tuple[RayNode, ...]
    ray: Any = field(repr=False)

    @property
    def slots(self) -> int:
        """Batches that it carries out at once: one per processor."""
        return max(1, int(sum(node.cpus for node in self.nodes)))

    def place(self, endpoint: Endpoint) -> ClusterPlace:
        """Anywhere on the cluster, to ask an endpoint from."""
        task = self.ray.remote(ask_batch).options(
            name="llmgate", num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )
        return ClusterPlace(endpoint=endpoint, task=task, ray=self.ray)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlace:
    """Tasks on a cluster that ask one endpoint; Ray chooses the node, and sends them again if it dies.

    Attributes:
        endpoint: Who is asked.
        task: What Ray runs.
        ray: The library.
    """

    endpoint: Endpoint
    task: Any = field(repr=False)
    ray: Any = field(repr=False)

    def send(self, batch: QuestionBatch) -> Future[BatchReply]:
        """Carry out a batch."""
        return translated(self.task.remote(batch).future(), self.ray)


def translated(future: Any, ray: Any) -> Future[BatchReply]:
    """The future of a task, whose errors are ours: LostError where Ray gave up."""
    from concurrent.futures import Future  # noqa: PLC0415 - only who asks on a cluster needs it

    result: Future[BatchReply] = Future()
    result.set_running_or_notify_cancel()

    def done(finished: Any) -> None:
        error = finished.exception()
        if error is None:
            result.set_result(finished.result())
        elif isinstance(error, ray.exceptions.RayTaskError):
            cause = getattr(error, "cause", None)
            result.set_exception(
                CannotRunError(f"a task on the cluster failed: {cause!r}"[:500], fix="Please report this")
            )
        else:
            result.set_exception(LostError(f"Ray gave a task up: {str(error)[:300]}"))

    future.add_done_callback(done)
    return result


@contextmanager
def connect(address: str, progress: Progress) -> Iterator[Cluster]:
    """Connect to a running cluster, see that its nodes can ask, and leave it with the block.

    None is started: a cluster that is not there is an error.

    Args:
        address: `ray`, or `ray://HOST:PORT` of a Ray client server.
        progress: Told what was found.

    Raises:
        UsageError: If Ray is not installed.
        CannotRunError: If there is no such cluster, or a node has another llmgate or none.
    """
    ray = library()
    check_reachable(address)
    progress.stage(f"connecting to {'the Ray cluster of this machine' if address == 'ray' else address}")
    join(ray, address, progress)
    try:
        cluster = Cluster(address=address, nodes=living(ray), ray=ray)
        check_nodes(cluster)
        found = f"{len(cluster.nodes)} {'node' if len(cluster.nodes) == 1 else 'nodes'}"
        progress.stage(f"Ray {ray.__version__}: {found}, {cluster.slots} tasks at once")
        yield cluster
    finally:
        ray.shutdown()


def join(ray: Any, address: str, progress: Progress) -> None:
    """Become a driver of the cluster.

    A client server starts a process for each client, on a port that it has only just found free, and tells the client
    when that process died. The next one gets another port.

    Raises:
        CannotRunError: If there is no such cluster.
    """
    tries = CLIENT_TRIES if address.startswith("ray://") else 1
    for left in reversed(range(tries)):
        try:
            ray.init(
                address="auto" if address == "ray" else address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                namespace="llmgate",
            )
        except (OSError, RuntimeError, ValueError) as error:
            if left:
                progress.stage(f"the client server did not let us in ({one_sentence(error)}), asking again")
                continue
            raise CannotRunError(
                f"there is no Ray cluster to be had ({one_sentence(error)})",
                where=f"--on {address}",
                fix="Start one with `ray start --head`, or name its client server as ray://HOST:10001",
            ) from error
        return


def check_reachable(address: str) -> None:
    """Refuse an address where nobody listens: Ray would try for minutes.

    Raises:
        CannotRunError: If the cluster that is named, by `--on` or RAY_ADDRESS, cannot be reached.
    """
    place = os.environ.get("RAY_ADDRESS", "") if address == "ray" else address
    host, colon, port = place.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return  # of this machine, which Ray finds or not at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except (OSError, OverflowError) as error:
        raise CannotRunError(
            f"there is no Ray cluster to be had (nobody listens: {one_sentence(error)})",
            where=place,
            fix="Start one with `ray start --head`, or name its client server as ray://HOST:10001",
        ) from error


def library() -> Any:
    """Ray.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return import_module("ray")
    except ImportError as error:
        raise UsageError(
            f"Ray cannot be imported ({error})", where="--on", fix="Install it: pip install 'pytest-llmgate[ray]'"
        ) from error


def living(ray: Any) -> tuple[RayNode, ...]:
    """The nodes that are alive and have a processor to give.

    Raises:
        CannotRunError: If there is none.
    """
    nodes = tuple(
        RayNode(
            id=node["NodeID"],
            address=node.get("NodeManagerAddress", ""),
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0.0) >= 1
    )
    if not nodes:
        raise CannotRunError("no node of the cluster has a processor to give", where="--on", fix="Look at `ray status`")
    return nodes


def check_nodes(cluster: Cluster) -> None:
    """Refuse a cluster of which a node cannot run this llmgate: what it would send back were another's findings.

    Raises:
        CannotRunError: With the node.
    """
    ray = cluster.ray
    on_node = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    asked = {
        node: ray.remote(about_node)
        .options(name="llmgate", num_cpus=1, max_retries=0, scheduling_strategy=on_node(node.id, soft=False))
        .remote()
        for node in cluster.nodes
    }
    for node, told in asked.items():
        where = f"node {node.address}"
        try:
            version, _, _ = ray.get(told, timeout=LOOK_S)
        except Exception as error:
            raise CannotRunError(
                f"the node cannot run llmgate ({one_sentence(error)})",
                where=where,
                fix=f"Install pytest-llmgate=={llmgate.__version__} into the environment of its Ray",
            ) from error
        if version != llmgate.__version__:
            raise CannotRunError(
                f"the node has llmgate {version}, and here it is {llmgate.__version__}",
                where=where,
                fix="Install the same version on all nodes",
            )


def one_sentence(error: BaseException) -> str:
    """The last line of an error that says something; Ray's have tracebacks in them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
