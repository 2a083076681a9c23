"""Where the two arms are served: both at once, by one server, or by one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from llmgate.errors import UsageError
from llmgate.record.arms import Hosting
from llmgate.record.manifest import ModelIdentity
from llmgate.session.serving.order import other
from llmgate.session.target import Target

if TYPE_CHECKING:
    from types import TracebackType

    from llmgate.record.arms import Arm

__all__ = ["ArmPlace", "HostingChoice", "ReadyArm", "Stand", "choose_hosting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlace:
    """Where one arm is served.

    Attributes:
        label: What the user named: a folder, or a URL.
        model: Which model it is, where that is known before it is opened.
        open: Reaches it; starts a server if it is to be ours, which ends with the block.
        engine: What serves it, as the endpoint says; ours is vLLM.
        owned: Whether opening starts a server, or has started one.
        up: Whether that server runs already.
        server: Equal for two places whose models one server serves by name, "" for one that is alone.
        beside: Reaches the model on a server that serves the other arm already; None where `open` does.
        gpus: How many GPUs a server of ours holds.
    """

    label: str
    model: ModelIdentity | None = None
    open: Callable[[], AbstractContextManager[Target]]
    engine: str = "vllm"
    owned: bool
    up: bool = False
    server: str = ""
    beside: Callable[[Target], Target] | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostingChoice:
    """How the servers are kept up, and why, in words."""

    hosting: Hosting
    reason: str


def choose_hosting(candidate: ArmPlace, champion: ArmPlace | None, *, asked: str) -> HostingChoice:
    """Decide how the servers are kept up.

    Two starts of the same server differ: on two cores a start decided half of a run's variance, and two equal servers
    that were started once each differed by up to 6 % for as long as they were up, in either direction
    (benchmarks/serving_aa). A pair must not inherit that from the pair before it, so servers of ours are started anew.

    Args:
        candidate: One arm.
        champion: The other, None where there is none.
        asked: What the user wants, `auto` for nothing special.

    Raises:
        UsageError: If that cannot be.
    """
    if champion is None:
        return HostingChoice(hosting="together", reason="there is one arm")
    one_server = bool(candidate.server) and candidate.server == champion.server
    owned = [place for place in (candidate, champion) if place.owned]
    if asked == "shared" and not one_server:
        raise UsageError(
            f"{candidate.label} and {champion.label} are not two names on one server",
            where="--serving-hosting",
            fix="Name one URL or one folder twice, with #NAME behind it, or leave the option out",
        )
    if asked == "restarts" and not owned:
        raise UsageError(
            "both arms are endpoints of others, which cannot be started anew",
            where="--serving-hosting",
            fix="Leave the option out",
        )
    if asked == "together":
        return HostingChoice(hosting="together", reason="as asked")
    if asked == "restarts":
        return HostingChoice(hosting="restarts", reason="as asked")
    if one_server:
        return HostingChoice(hosting="shared", reason="one server serves both")
    if len(owned) < 2:
        return HostingChoice(hosting="together", reason="an endpoint of others is up anyhow")
    return HostingChoice(hosting="restarts", reason="what differs from start to start must not pass for the models")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyArm:
    """An arm that can be measured now.

    Attributes:
        target: Where.
        fresh: Whether nothing was measured on it since its server was reached: it is to be warmed up for longer.
    """

    target: Target
    fresh: bool


class Stand:
    """Keeps the servers of both arms up, as the hosting says. A context manager; nothing is left up after it.

    Args:
        places: By arm.
        hosting: How.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, places: Mapping[Arm, ArmPlace], hosting: Hosting, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places = dict(places)
        self._hosting = hosting
        self._clock = clock
        self._open: dict[Arm, tuple[ExitStack, Target, float]] = {}
        self._fresh: set[Arm] = set()
        self._gpu_s = 0.0

    def __enter__(self) -> Self:
        """Open all that is to be up at once, one after another: two engines that start together race for ports."""
        if self._hosting != "restarts":
            try:
                for arm in self._places:
                    self._open_arm(arm)
            except BaseException:
                self._close_all()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_all()

    def at(self, arm: Arm) -> ReadyArm:
        """The arm, ready to be measured; where servers take turns, each run has a start of its own.

        A start that several pairs share would make them one: what differs from start to start is part of a run's
        noise, and pairs are taken as independent.
        """
        if arm not in self._open or self._hosting == "restarts":
            self._close_all()
            self._open_arm(arm)
        fresh = arm in self._fresh
        self._fresh.discard(arm)
        return ReadyArm(target=self._open[arm][1], fresh=fresh)

    def targets(self) -> dict[Arm, Target]:
        """What is up now."""
        return {arm: target for arm, (_, target, _) in self._open.items()}

    @property
    def gpus(self) -> int:
        """GPUs that servers of ours hold at one time."""
        held = [self._held(arm) for arm in self._places]
        return max(held, default=0) if self._hosting == "restarts" else sum(held)

    @property
    def gpu_minutes(self) -> float:
        """Wall time of servers of ours × the GPUs that each held, until now."""
        now = self._clock()
        running = sum(self._held(arm) * (now - since) for arm, (_, _, since) in self._open.items())
        return (self._gpu_s + running) / 60.0

    def _held(self, arm: Arm) -> int:
        place = self._places[arm]
        guest = self._hosting == "shared" and place.beside is not None
        return place.gpus if place.owned and not guest else 0

    def _open_arm(self, arm: Arm) -> None:
        place, neighbour = self._places[arm], self._open.get(other(arm))
        stack, since = ExitStack(), self._clock()
        if self._hosting == "shared" and place.beside is not None and neighbour is not None:
            target = place.beside(neighbour[1])
        else:
            target = stack.enter_context(place.open())
        self._open[arm] = (stack, target, since)
        self._fresh.add(arm)

    def _close_all(self) -> None:
        """Close in the reverse order; the first error is raised when all are closed."""
        with ExitStack() as closing:
            for arm in self._open:
                closing.callback(self._close, arm)
        self._open.clear()

    def _close(self, arm: Arm) -> None:
        stack, _, since = self._open[arm]
        self._gpu_s += self._held(arm) * (self._clock() - since)
        self._fresh.discard(arm)
        stack.close()
