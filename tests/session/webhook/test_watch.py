"""The alarm, and setting an alias back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from support.webhooks import FakeRegistry, ledger_of

from llmgate.promote.webhook.ledger import ModelState, Standing, compare
from llmgate.session.webhook.alarm import post_alarm
from llmgate.session.webhook.check import check_aliases
from llmgate.session.webhook.watch import examine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.session.webhook.watch.SETTLE_S", 0.0)


def registry(holder: str | None, *ledger: str, **options: Any) -> FakeRegistry:
    aliases = {} if holder is None else {"champion": holder}
    tags = ledger_of(*ledger) if ledger else {}
    return FakeRegistry(states={"bot": ModelState(name="bot", aliases=aliases, tags=tags)}, **options)


def check(of: FakeRegistry, **options: Any) -> tuple[int, str]:
    said: list[str] = []
    settings: dict[str, Any] = {"models": ["bot"], "aliases": ["champion"], "revert": False, "alarm_url": None}
    code = check_aliases(of, say=said.append, **{**settings, **options})
    return code, "\n".join(said)


def test_the_exit_codes() -> None:
    assert check(registry("2", "1", "2"))[0] == 0
    assert check(registry("3", "1", "2"))[0] == 1
    assert check(registry(None, "1", "2"))[0] == 1
    assert check(registry("1"))[0] == 4
    assert check(FakeRegistry()) == (4, "no model fits bot, so nothing was compared")
    both = registry("3", "1", "2")
    both.states["another"] = ModelState(name="another", aliases={"champion": "1"}, tags={})
    assert check(both)[0] == 1


def test_a_model_that_is_gone_and_a_registry_that_fails_could_not_be_checked() -> None:
    gone = asyncio.run(examine(FakeRegistry(), "bot", "champion"))
    assert (gone.state, gone.why) == (Standing.UNCHECKED, "there is no such model")
    down = asyncio.run(examine(FakeRegistry(down=True), "bot", "champion"))
    assert (down.state, down.why) == (Standing.UNCHECKED, "no MLflow server answers there")


def test_a_disagreement_that_is_over_at_the_second_look_is_none() -> None:
    promoted = ModelState(name="bot", aliases={"champion": "2"}, tags=ledger_of("1", "2"))
    answers = [ModelState(name="bot", aliases={"champion": "1"}, tags=promoted.tags), promoted]

    class Between(FakeRegistry):
        def model(self, name: str) -> ModelState | None:
            assert name == "bot"
            return answers.pop(0)

    assert asyncio.run(examine(Between(), "bot", "champion", settle_s=0)).state is Standing.AGREES
    assert not answers


def test_it_is_set_back_and_still_said() -> None:
    found = registry("3", "1", "2")
    code, said = check(found, revert=True)
    assert (code, found.states["bot"].aliases) == (1, {"champion": "2"})
    assert "bot champion: set back to v2" in said
    assert check(found)[0] == 0


def test_a_deleted_alias_is_set_back() -> None:
    found = registry(None, "1", "2")
    check(found, revert=True)
    assert found.states["bot"].aliases == {"champion": "2"}


def test_what_cannot_be_set_back_is_said() -> None:
    assert "setting it back to v2 FAILED: MLflow says" in check(registry("3", "1", "2", refuses=True), revert=True)[1]
    nobody = FakeRegistry(
        states={"bot": ModelState(name="bot", aliases={"champion": "3"}, tags={"llmgate.ledger/champion": "[]"})}
    )
    assert "not reverted: the ledger names no version" in check(nobody, revert=True)[1]


def test_a_stage_is_compared_and_not_set_back() -> None:
    tags = {"llmgate.ledger/stage:Production": ledger_of("1", "2")["llmgate.ledger/champion"]}
    state = ModelState(name="bot", aliases={"stage:Production": "3"}, tags=tags)
    code, said = check(FakeRegistry(states={"bot": state}), aliases=["stage:Production"], revert=True)
    assert (code, "a stage is set back by hand" in said) == (1, True)


def test_it_is_not_believed_that_it_was_set_back() -> None:
    class Deaf(FakeRegistry):
        def set_alias(self, name: str, alias: str, version: str) -> None:
            pass

    deaf = Deaf(states=registry("3", "1", "2").states)
    assert "setting it back to v2 FAILED: v3 holds it afterwards" in check(deaf, revert=True)[1]


def test_a_look_alike_is_no_reason_to_move_the_alias() -> None:
    state = ModelState(name="bot", aliases={"champion": "2", "Champion": "3"}, tags=ledger_of("1", "2"))
    assert compare(state, "champion").state is Standing.MOVED
    code, said = check(FakeRegistry(states={"bot": state}), revert=True)
    assert (code, "it is not the holder that is wrong" in said) == (1, True)


async def with_server(
    reply: Callable[[web.Request], Awaitable[web.StreamResponse]], body: dict[str, str | None]
) -> Any:
    app = web.Application()
    app.router.add_post("/hook/secret", reply)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        return await post_alarm(f"http://127.0.0.1:{port}/hook/secret", body)
    finally:
        await runner.cleanup()


def test_the_alarm_arrives_as_json() -> None:
    got: list[Any] = []

    async def reply(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response(text="ok")

    body = {"text": "llmgate: bot champion", "holder": None}
    assert asyncio.run(with_server(reply, body)) is None
    assert got == [body]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 500])
def test_an_alarm_that_is_not_taken_is_said_and_no_redirect_followed(status: int) -> None:
    calls = 0

    async def reply(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.Response(status=status, headers={"Location": str(request.url)})

    told = asyncio.run(with_server(reply, {"text": "x"}))
    assert told == f"the alarm's address answered {status}"
    assert calls == 1


def test_an_alarm_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.session.webhook.alarm.TIMEOUT_S", 0.2)

    async def reply(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    assert "cannot be reached" in asyncio.run(with_server(reply, {"text": "x"}))


def test_an_address_that_is_not_there_is_not_repeated() -> None:
    told = asyncio.run(post_alarm("http://127.0.0.1:1/hook/secret", {"text": "x"}))
    assert told is not None
    assert "secret" not in told


def test_the_alarm_says_what_there_is_to_know() -> None:
    got: list[Any] = []

    async def play() -> int:
        async def reply(request: web.Request) -> web.Response:
            got.append(json.loads(await request.text()))
            return web.Response(text="ok")

        app = web.Application()
        app.router.add_post("/", reply)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        code, _ = await asyncio.to_thread(check, registry("3", "1", "2"), alarm_url=url, revert=True)
        await runner.cleanup()
        return code

    assert asyncio.run(play()) == 1
    (told,) = got
    assert told.pop("at")
    assert told.pop("text").startswith("llmgate: bot champion: moved past the gate: v3 holds it")
    assert "v2" in told.pop("why")
    assert told == {
        "event": "alias.moved_past_the_gate", "model": "bot", "alias": "champion", "holder": "3", "ledger": "2",
        "reverted": "set back to v2",
    }  # fmt: skip
