"""How the servers of two arms are kept up."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import ServerError, UsageError
from llmgate.generate.client import Endpoint
from llmgate.record.manifest import ModelIdentity, ServerIdentity
from llmgate.session.serving.hosting import ArmPlace, Stand, choose_hosting
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.arms import Arm


def target(name: str) -> Target:
    return Target(
        endpoint=Endpoint(url=f"http://127.0.0.1/{name}", model=name),
        model=ModelIdentity(name=name, source=f"/{name}"),
        server=ServerIdentity(engine="vllm", owned=True, flags=("--seed", "0")),
        death=lambda: None,
    )


def place(name: str, log: list[str] | None = None, *, fails: bool = False, **changes: Any) -> ArmPlace:
    @contextmanager
    def serve() -> Iterator[Target]:
        if fails:
            raise ServerError("it did not start")
        if log is not None:
            log.append(f"start {name}")
        try:
            yield target(name)
        finally:
            if log is not None:
                log.append(f"end {name}")

    values: dict[str, Any] = {"label": name, "open": serve, "owned": True} | changes
    return ArmPlace(**values)


def chosen(candidate: ArmPlace, champion: ArmPlace | None, asked: str = "auto") -> str:
    return choose_hosting(candidate, champion, asked=asked).hosting


def test_servers_of_ours_are_started_anew_for_every_run() -> None:
    assert chosen(place("a"), place("b")) == "restarts"
    assert chosen(place("a", up=True), place("b")) == "restarts"
    assert chosen(place("a", gpus=1), place("b", gpus=1)) == "restarts"
    assert chosen(place("a", server="s"), place("b", server="s")) == "shared"


def test_endpoints_of_others_are_measured_as_they_are() -> None:
    assert chosen(place("a", owned=False), place("b")) == "together"
    assert chosen(place("a", owned=False, server="url x"), place("b", owned=False, server="url x")) == "shared"
    assert chosen(place("a", owned=False, server="url x"), place("b", owned=False, server="url y")) == "together"
    assert chosen(place("a"), None) == "together"


@pytest.mark.parametrize(
    ("asked", "owned", "what"),
    [("shared", True, "not two names on one server"), ("restarts", False, "cannot be started anew")],
)
def test_what_cannot_be_is_refused(asked: str, owned: bool, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        chosen(place("a", owned=owned), place("b", owned=owned), asked)


def test_what_is_asked_for_is_done() -> None:
    assert chosen(place("a"), place("b"), "restarts") == "restarts"
    assert chosen(place("a"), place("b"), "together") == "together"
    assert chosen(place("a", server="s"), place("b", server="s"), "together") == "together"


def test_together_both_start_one_after_the_other_and_end_in_reverse() -> None:
    log: list[str] = []
    with Stand({"candidate": place("a", log), "champion": place("b", log)}, "together") as stand:
        assert log == ["start a", "start b"]
        assert [stand.at(arm).fresh for arm in ("candidate", "champion", "candidate")] == [True, True, False]
    assert log[2:] == ["end b", "end a"]


def test_servers_that_take_turns_are_never_up_at_once() -> None:
    log: list[str] = []
    with Stand({"candidate": place("a", log), "champion": place("b", log)}, "restarts") as stand:
        for arm in ("candidate", "champion", "champion", "candidate"):
            stand.at(arm)
    # Also where the arm stays the same: what a start decides must not be shared by two pairs.
    assert log == ["start a", "end a", "start b", "end b", "start b", "end b", "start a", "end a"]


def test_one_start_serves_two_names() -> None:
    log: list[str] = []
    shared = place("b", log, beside=lambda other: target(f"b on {other.model.name}"))
    with Stand({"candidate": place("a", log, gpus=2), "champion": shared}, "shared") as stand:
        assert stand.at("champion").target.model.name == "b on a"
        assert stand.gpus == 2
    assert log == ["start a", "end a"]


def test_a_server_that_does_not_start_ends_the_other_one() -> None:
    log: list[str] = []
    stand = Stand({"candidate": place("a", log), "champion": place("b", fails=True)}, "together")
    with pytest.raises(ServerError), stand:
        pass
    assert log == ["start a", "end a"]


@pytest.mark.parametrize(("hosting", "minutes"), [("together", 10 * 3 / 60), ("restarts", 10 * 2 / 60)])
def test_gpu_minutes_are_wall_time_times_gpus_of_servers_of_ours(hosting: Any, minutes: float) -> None:
    now = [0.0]
    places: dict[Arm, ArmPlace] = {
        "candidate": place("a", gpus=2),
        "champion": place("b", gpus=1),
    }
    stand = Stand(places, hosting, clock=lambda: now[0])
    with stand:
        stand.at("candidate")
        now[0] = 10.0
        assert stand.gpu_minutes == pytest.approx(minutes)
    now[0] = 99.0
    assert stand.gpu_minutes == pytest.approx(minutes)
    assert Stand({"candidate": place("a", gpus=2, owned=False)}, "together").gpus == 0
