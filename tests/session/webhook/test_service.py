"""The receiver as a whole, against a registry without MLflow, with real children."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.webhooks import FakeRegistry, created, headers_of, ledger_of, receiver_settings

from llmgate.errors import CannotRunError, RecordError
from llmgate.promote.webhook.command import CommandTemplate
from llmgate.promote.webhook.ledger import ModelState
from llmgate.session.webhook import runs as runs_module
from llmgate.session.webhook.memory import Job, Memory
from llmgate.session.webhook.service import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from llmgate.session.webhook.settings import ReceiverSettings

STEP_S = 60.0


def command(code: str) -> CommandTemplate:
    return CommandTemplate(arguments=(sys.executable, "-I", "-c", code, "{version_uri}", "{run_folder}"))


WRITES = "import pathlib, sys; pathlib.Path({path!r}).open('a').write(' '.join(sys.argv[1:2]) + chr(10)); {then}"


class Stage:
    """A receiver that runs, and what it said."""

    def __init__(self, settings: ReceiverSettings, registry: FakeRegistry) -> None:
        self.said: list[str] = []
        self.port = 0
        self.receiver = Receiver(settings, registry, self.said.append, listening=self.listening)
        self.task = asyncio.create_task(self.receiver.serve())

    def listening(self, port: int) -> None:
        self.port = port

    async def send(self, body: bytes, **headers: Any) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as client,
            client.post(
                f"http://127.0.0.1:{self.port}/webhook", data=body, headers=headers_of(body, **headers)
            ) as answer,
        ):
            told = await answer.json()
            return answer.status, told.get("status") or told["refused"]

    async def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + STEP_S
        while not true():
            if self.task.done():
                self.task.result()
            assert time.monotonic() < deadline, self.said
            await asyncio.sleep(0.02)

    async def end(self) -> int:
        self.receiver.stop()
        return await asyncio.wait_for(self.task, STEP_S)


@contextlib.asynccontextmanager
async def staged(settings: ReceiverSettings, registry: FakeRegistry) -> AsyncIterator[Stage]:
    stage = Stage(settings, registry)
    try:
        await stage.until(lambda: stage.port)
        yield stage
    finally:
        if not stage.task.done():
            await stage.end()


def test_a_new_version_is_gated_once_and_told(tmp_path: Path) -> None:
    registry = FakeRegistry(versions={("bot", "7")})
    done = tmp_path / "done"
    settings = receiver_settings(
        tmp_path / "state", command=command(WRITES.format(path=str(done), then="raise SystemExit(3)"))
    )

    async def play() -> None:
        async with staged(settings, registry) as stage:
            delivery = str(uuid.uuid4())
            assert await stage.send(created(), delivery=delivery) == (202, "queued")
            assert (await stage.send(created(), delivery=delivery))[0] == 409
            await stage.until(lambda: "INCONCLUSIVE" in registry.words("bot", "7"))
            assert await stage.end() == 0
            # Also after a restart.
        async with staged(settings, registry) as stage:
            assert (await stage.send(created(), delivery=delivery))[0] == 409

    asyncio.run(play())
    assert done.read_text() == "models:/bot/7\n"
    assert registry.words("bot", "7")[-1] == "INCONCLUSIVE"
    assert set(registry.words("bot", "7")) <= {"queued", "running", "INCONCLUSIVE"}
    (folder,) = (tmp_path / "state" / "runs").iterdir()
    assert folder.name.endswith("-bot-v7")
    assert oct(folder.stat().st_mode)[-3:] == "700"


WAITS = "import pathlib, time\nwhile not pathlib.Path({go!r}).exists(): time.sleep(0.02)"


def test_one_run_at_a_time_of_a_version_and_a_bounded_queue(tmp_path: Path) -> None:
    registry = FakeRegistry(versions={("bot", str(version)) for version in range(1, 9)})
    go = tmp_path / "go"
    settings = receiver_settings(tmp_path / "state", command=command(WAITS.format(go=str(go))), at_once=2, waiting=1)

    async def play() -> None:
        async with staged(settings, registry) as stage:
            assert await stage.send(created(version="1")) == (202, "queued")
            await stage.until(lambda: "running" in registry.words("bot", "1"))
            assert await stage.send(created(version="1")) == (202, "already running")
            assert await stage.send(created(version="2")) == (202, "queued")
            await stage.until(lambda: "running" in registry.words("bot", "2"))
            assert await stage.send(created(version="3")) == (202, "queued")
            assert await stage.send(created(version="3")) == (202, "already queued")
            late = str(uuid.uuid4())
            assert (await stage.send(created(version="4"), delivery=late))[0] == 503
            assert registry.words("bot", "3") in ([], ["queued"])
            go.touch()
            await stage.until(lambda: "PASS" in registry.words("bot", "3"))
            # MLflow sends again what was refused with 503, under the same id.
            assert (await stage.send(created(version="4"), delivery=late))[0] == 202
            await stage.until(lambda: "PASS" in registry.words("bot", "4"))
            assert await stage.send(created(version="1")) == (202, "queued")
            await stage.until(lambda: registry.words("bot", "1").count("PASS") == 2)

    asyncio.run(play())


def test_what_is_not_ours_is_answered_and_not_carried_out(tmp_path: Path) -> None:
    registry = FakeRegistry()
    settings = receiver_settings(tmp_path / "state", command=command(""), models=("support-*", "bot"), workspace="team")

    async def play() -> None:
        async with staged(settings, registry) as stage:
            for body in (
                created(kind="prompt_version.created"),
                created(kind="model_version_tag.set"),
                created("other-bot"),
                created(workspace="another"),
                created(kind="model_version_alias.created", alias="champion", workspace="another"),
            ):
                status, told = await stage.send(body)
                assert (status, told.startswith("nothing to do")) == (202, True)
            for name in ("support-..", "support- x", "support-{}", "support-'", 'support-"', "support-$(id)"):
                assert (await stage.send(created(name)))[0] == 422
            assert (await stage.send(created("support-\n")))[0] == 422

    asyncio.run(play())
    assert not list((tmp_path / "state" / "runs").iterdir())
    assert registry.notes == []


def test_a_receiver_without_a_command_only_watches(tmp_path: Path) -> None:
    async def play() -> None:
        async with staged(receiver_settings(tmp_path / "state"), FakeRegistry()) as stage:
            assert await stage.send(created()) == (202, "nothing to do for new versions")

    asyncio.run(play())


def test_a_version_that_does_not_exist_is_not_run(tmp_path: Path) -> None:
    done = tmp_path / "done"
    settings = receiver_settings(tmp_path / "state", command=command(WRITES.format(path=str(done), then="")), once=True)

    async def play() -> None:
        async with staged(settings, FakeRegistry()) as stage:
            # What MLflow sends when somebody tests a webhook.
            assert await stage.send(created("example_model", "1")) == (202, "queued")
            assert await asyncio.wait_for(stage.task, STEP_S) == 4
            assert any("there is no such version" in line for line in stage.said)

    asyncio.run(play())
    assert not done.exists()


def test_a_registry_that_is_down_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "LOOKUPS_S", (0.05,) * 4000)
    registry = FakeRegistry(versions={("bot", "7")}, down=True)
    settings = receiver_settings(tmp_path / "state", command=command(""))

    async def play() -> None:
        async with staged(settings, registry) as stage:
            assert await stage.send(created()) == (202, "queued")
            await stage.until(lambda: registry.asked > 3)
            registry.down = False
            await stage.until(lambda: "PASS" in registry.words("bot", "7"))

    asyncio.run(play())


def test_a_registry_that_stays_down_is_an_error_which_is_told_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "LOOKUPS_S", (0.01,) * 3)
    registry = FakeRegistry(versions={("bot", "7")}, down=True)
    settings = receiver_settings(tmp_path / "state", command=command(""))

    async def play() -> None:
        async with staged(settings, registry) as stage:
            await stage.send(created())
            await stage.until(lambda: any("the registry does not answer" in line for line in stage.said))
        assert registry.notes == []
        registry.down = False
        async with staged(settings, registry) as stage:
            await stage.until(lambda: registry.words("bot", "7") == ["ERROR"])

    asyncio.run(play())


def pids(tmp_path: Path) -> list[int]:
    logs = list((tmp_path / "state" / "runs").glob("*/log"))
    return [int(pid) for log in logs for pid in log.read_text().split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_sigterm_ends_the_run_and_the_next_receiver_runs_it_again(tmp_path: Path) -> None:
    registry = FakeRegistry(versions={("bot", "7"), ("bot", "8")})
    settings = receiver_settings(tmp_path / "state", command=command(SLEEPS))

    async def play() -> None:
        async with staged(settings, registry) as stage:
            await stage.send(created())
            await stage.send(created(version="8"))
            await stage.until(lambda: pids(tmp_path))
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(stage.task, STEP_S) == 0
            assert any("will be run again" in line for line in stage.said)
        assert not any(alive(pid) for pid in pids(tmp_path))
        kept = json.loads((tmp_path / "state" / "state.json").read_text())
        assert [(job["version"], job["state"], job["starts"]) for job in kept["jobs"]] == [
            ("7", "queued", 0),
            ("8", "queued", 0),
        ]
        assert registry.words("bot", "7")[-1] == "queued"
        again = receiver_settings(tmp_path / "state", command=command(""))
        async with staged(again, registry) as stage:
            await stage.until(lambda: "PASS" in registry.words("bot", "7") and "PASS" in registry.words("bot", "8"))

    asyncio.run(play())


def left_running(folder: Path, starts: int) -> None:
    memory = Memory(folder, time.time)
    job = Job(name="bot", version="7", delivery="a", at="then", state="running", starts=starts)
    memory.jobs[job.key] = job
    memory.save()
    memory.close()


@pytest.mark.parametrize(("starts", "word"), [(1, "PASS"), (3, "ERROR")])
def test_a_run_that_was_cut_off_is_found_again_but_not_for_ever(tmp_path: Path, starts: int, word: str) -> None:
    left_running(tmp_path / "state", starts)
    registry = FakeRegistry(versions={("bot", "7")})

    async def play() -> None:
        async with staged(receiver_settings(tmp_path / "state", command=command("")), registry) as stage:
            await stage.until(lambda: word in registry.words("bot", "7"))
            assert any("cut off" in line for line in stage.said)

    asyncio.run(play())
    assert len(list((tmp_path / "state" / "runs").iterdir())) == (1 if word == "PASS" else 0)


def test_what_cannot_be_written_down_is_refused_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = FakeRegistry(versions={("bot", "7")})
    settings = receiver_settings(tmp_path / "state", command=command(""))

    def full(self: Memory) -> None:
        raise RecordError("cannot be written (No space left on device)")

    async def play() -> None:
        async with staged(settings, registry) as stage:
            delivery = str(uuid.uuid4())
            with monkeypatch.context() as patch:
                patch.setattr(Memory, "save", full)
                assert (await stage.send(created(), delivery=delivery))[0] == 503
            assert (await stage.send(created(), delivery=delivery)) == (202, "queued")
            await stage.until(lambda: "PASS" in registry.words("bot", "7"))

    asyncio.run(play())


def test_a_receiver_that_can_no_longer_write_its_state_ends(tmp_path: Path) -> None:
    registry = FakeRegistry(versions={("bot", "7")})
    settings = receiver_settings(tmp_path / "state", command=command(SLEEPS))

    async def play() -> None:
        async with staged(settings, registry) as stage:
            await stage.send(created())
            await stage.until(lambda: pids(tmp_path))
            (tmp_path / "state" / "state.json").unlink()
            (tmp_path / "state" / "state.json").mkdir()
            stage.receiver.stop()
            with pytest.raises(CannotRunError, match="cannot be written"):
                await asyncio.wait_for(stage.task, STEP_S)

    asyncio.run(play())
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_a_version_that_no_event_told_of_is_found_by_the_poll_and_run_once(tmp_path: Path) -> None:
    registry = FakeRegistry(
        versions={("bot", "7"), ("bot", "8"), ("bot $(id)", "1")},
        states={name: ModelState(name=name, aliases={}, tags={}) for name in ("bot", "bot $(id)")},
    )
    done = tmp_path / "done"
    settings = receiver_settings(
        tmp_path / "state", command=command(WRITES.format(path=str(done), then="")), poll_s=0.05, waiting=1
    )

    async def play() -> None:
        async with staged(settings, registry) as stage:
            await stage.until(lambda: all("PASS" in registry.words("bot", version) for version in "78"))
            asked = registry.asked
            await stage.until(lambda: registry.asked > asked + 10)
            assert sum("no event told of it" in line for line in stage.said) == 2

    asyncio.run(play())
    assert sorted(done.read_text().split()) == ["models:/bot/7", "models:/bot/8"]


@pytest.mark.parametrize(
    ("holder", "code", "said"),
    [("2", 0, None), ("3", 1, "ALARM: bot champion: moved past the gate: v3 holds it"), (None, 1, "nobody holds it")],
)
def test_an_alias_event_is_compared_with_the_ledger(
    tmp_path: Path, holder: str | None, code: int, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmgate.session.webhook.watch.SETTLE_S", 0.0)
    aliases = {} if holder is None else {"champion": holder}
    registry = FakeRegistry(states={"bot": ModelState(name="bot", aliases=aliases, tags=ledger_of("1", "2"))})

    async def play() -> None:
        async with staged(receiver_settings(tmp_path / "state", once=True), registry) as stage:
            body = created(kind="model_version_alias.created", alias="champion")
            assert await stage.send(body) == (202, "will be compared with the ledger")
            assert await asyncio.wait_for(stage.task, STEP_S) == code
            alarms = [line for line in stage.said if "moved past the gate" in line]
            assert len(alarms) == (0 if said is None else 1)
            assert said is None or said in alarms[0]

    asyncio.run(play())


def test_the_poll_finds_what_no_event_told_and_what_the_ledger_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmgate.session.webhook.watch.SETTLE_S", 0.0)
    good = ModelState(name="bot", aliases={"champion": "2"}, tags=ledger_of("1", "2"))
    registry = FakeRegistry(states={"bot": good})
    settings = receiver_settings(tmp_path / "state", poll_s=0.05)

    async def play() -> None:
        async with staged(settings, registry) as stage:
            await stage.until(lambda: registry.asked > 4)
            assert not any("ALARM" in line for line in stage.said)
            registry.states["bot"] = ModelState(name="bot", aliases={"champion": "9"}, tags=good.tags)
            await stage.until(lambda: any("ALARM" in line and "v9 holds it" in line for line in stage.said))
            asked = registry.asked
            await stage.until(lambda: registry.asked > asked + 6)
            assert sum("ALARM" in line for line in stage.said) == 1
            registry.states["bot"] = good
            await stage.until(lambda: any("bot champion: agrees" in line for line in stage.said))
        # The ledger's mirror is taken back while no receiver runs.
        registry.states["bot"] = ModelState(name="bot", aliases={"champion": "1"}, tags=ledger_of("1"))
        async with staged(settings, registry) as stage:
            await stage.until(lambda: any("lost events that were seen" in line for line in stage.said))

    asyncio.run(play())
