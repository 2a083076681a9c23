"""Kept answers: what is never given, what an entry is, and what tells one model from another."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import UsageError
from llmgate.generate.client import Endpoint
from llmgate.generate.response_cache import MOST_ENTRY_BYTES, CachedChat, ResponseCache, answerer
from llmgate.record.answered_by import OUR_CACHE, AnsweredBy
from llmgate.record.manifest import Hardware, ModelIdentity, ServerIdentity
from llmgate.record.redaction import Redactor
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = ModelIdentity(name="m", source="/models/m", weights_digest="ab12")
SERVER = ServerIdentity(engine="vllm", version="0.32.0", owned=True, flags=("--seed 0",), url="http://127.0.0.1:1/v1")
MACHINE = Hardware(cpu="c", cores=2, memory_gib=8.0)
ANSWER = Generation(
    text="Paris", finish_reason="stop", prompt_tokens=3, completion_tokens=1, latency_s=1.25, attempts=2
)
KEY = "ab" * 32


class Model:
    """Counts what it is asked; each answer is another one."""

    stopped = None
    gave_up = False

    def __init__(self, answer: Callable[[int], Generation | Failure] | None = None) -> None:
        self.endpoint = Endpoint(url="http://m/v1", model="m")
        self.asked = 0
        self.answer = answer or (lambda number: replace(ANSWER, text=f"answer {number}"))

    async def ask(self, _: object, **__: object) -> Generation | Failure:
        self.asked += 1
        return self.answer(self.asked)

    async def embed(self, _: object) -> Any:
        self.asked += 1
        return None


def ask(cached: CachedChat, body: dict[str, Any] | None = None, **options: Any) -> Generation | Failure:
    return asyncio.run(cached.ask(body or {"messages": []}, **{"which": "s::c", **options}))


def cached(folder: Path, model: Any = None, *, who: str = "w", **options: Any) -> tuple[CachedChat, Any]:
    model = model or Model()
    return CachedChat(model, ResponseCache(folder / "cache", **options), who=who), model


# What is never given


def test_no_time_and_no_count_of_attempts_comes_out_of_it(tmp_path: Path) -> None:
    chat, model = cached(tmp_path)
    first, second = ask(chat), ask(chat)
    assert isinstance(first, Generation)
    assert isinstance(second, Generation)
    assert (first.latency_s, first.attempts, first.answered_by) == (1.25, 2, None)
    assert second == replace(first, latency_s=0.0, attempts=1, answered_by=AnsweredBy(cached=OUR_CACHE))
    assert (model.asked, chat.found, chat.kept) == (1, 1, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"which": "s::c#1"},
        {"which": "s::other"},
        {"which": "t::c"},
        {"body": {"messages": [], "seed": 1}},
        {"body": {"messages": [], "temperature": 0.0}},
        {"body": {"messages": [{"role": "user", "content": "x"}]}},
    ],
)
def test_another_request_and_another_generation_are_asked(tmp_path: Path, changed: dict[str, Any]) -> None:
    chat, model = cached(tmp_path)
    ask(chat)
    ask(chat, changed.get("body"), **{k: v for k, v in changed.items() if k != "body"})
    assert model.asked == 2


def test_what_has_no_name_is_always_asked_and_never_kept(tmp_path: Path) -> None:
    chat, model = cached(tmp_path)
    for _ in range(3):
        ask(chat, which="")
    asyncio.run(chat.embed(["x"]))
    assert (model.asked, chat.kept) == (4, 0)
    assert not list((tmp_path / "cache").glob("??/*"))


@pytest.mark.parametrize(
    "answer",
    [
        Failure(kind=FailureKind.HTTP, message="HTTP 500"),
        replace(ANSWER, answered_by=AnsweredBy(model="other")),
        replace(ANSWER, answered_by=AnsweredBy(cached="age")),
        replace(ANSWER, answered_by=AnsweredBy(rerouted="x-step: 1")),
        replace(ANSWER, text="the key is sk-very-secret-value"),
        replace(ANSWER, text="x" * (MOST_ENTRY_BYTES + 1)),
    ],
)
def test_failures_answers_of_others_secrets_and_endless_ones_are_not_kept(
    tmp_path: Path, answer: Generation | Failure
) -> None:
    chat, model = cached(tmp_path, Model(lambda _: answer), redact=Redactor(("sk-very-secret-value",)))
    assert ask(chat) == ask(chat) == answer
    assert (model.asked, chat.found, chat.kept) == (2, 0, 0)


def test_an_answer_that_counts_by_another_rule_only_is_asked_for_again(tmp_path: Path) -> None:
    chat, model = cached(tmp_path, Model(lambda _: replace(ANSWER, finish_reason="content_filter")))
    ask(chat, expected=lambda reason: reason == "content_filter")
    assert chat.kept == 1
    ask(chat)
    assert model.asked == 2


@pytest.mark.parametrize(
    ("model", "server", "machine"),
    [
        ({"weights_digest": "cd34"}, {}, {}),
        ({"name": "n"}, {}, {}),
        ({}, {"version": "0.33.0"}, {}),
        ({}, {"flags": ("--seed 1",)}, {}),
        ({}, {"engine": "other"}, {}),
        ({}, {}, {"gpus": ("H100",)}),
        ({}, {}, {"cpu": "d"}),
    ],
)
def test_a_candidate_is_never_given_what_another_model_or_server_said(
    tmp_path: Path, model: dict[str, Any], server: dict[str, Any], machine: dict[str, Any]
) -> None:
    champion = answerer(MODEL, SERVER, MACHINE)
    candidate = answerer(replace(MODEL, **model), replace(SERVER, **server), replace(MACHINE, **machine))
    ask(cached(tmp_path, who=champion)[0])
    chat, asked = cached(tmp_path, who=candidate)
    ask(chat)
    assert asked.asked == 1


def test_the_same_model_is_known_wherever_it_lies_and_whatever_it_is_called_in_a_registry() -> None:
    moved = replace(MODEL, source="/elsewhere/m", registry_uri="models:/m/7")
    assert answerer(MODEL, SERVER, MACHINE) == answerer(moved, replace(SERVER, url="http://127.0.0.1:2/v1"), MACHINE)


def test_an_endpoint_is_told_from_others_by_its_label_and_address() -> None:
    endpoint = ServerIdentity(engine="openai-compatible", owned=False, url="http://a/v1", deployment="v7")
    model = ModelIdentity(name="m", source="http://a/v1")
    one = answerer(model, endpoint, MACHINE)
    assert one == answerer(model, endpoint, replace(MACHINE, cores=64))
    for other in (replace(endpoint, deployment="v8"), replace(endpoint, url="http://b/v1")):
        assert answerer(model, other, MACHINE) != one
    with pytest.raises(UsageError, match="--deployment"):
        answerer(model, replace(endpoint, deployment=""), MACHINE)


def test_weights_that_nobody_knows_are_refused() -> None:
    with pytest.raises(UsageError, match="Name a model folder"):
        answerer(replace(MODEL, weights_digest=None), SERVER, MACHINE)


@pytest.mark.parametrize("by", [AnsweredBy(model=""), AnsweredBy(model="m-2024-08-06"), AnsweredBy(provider="p")])
def test_what_an_answer_says_of_who_gave_it_is_kept_with_it(tmp_path: Path, by: AnsweredBy) -> None:
    chat, _ = cached(tmp_path, Model(lambda _: replace(ANSWER, answered_by=by)))
    ask(chat)
    again = ask(chat)
    assert isinstance(again, Generation)
    assert again.answered_by == replace(by, cached=OUR_CACHE)


# What an entry is


def entry(folder: Path) -> Path:
    (found,) = (folder / "cache").glob("??/*")
    return found


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other", "directory", "fifo"])
def test_a_damaged_entry_is_none(tmp_path: Path, damage: str) -> None:
    chat, model = cached(tmp_path)
    ask(chat)
    path = entry(tmp_path)
    data = path.read_bytes()
    if damage in {"directory", "fifo"}:
        path.unlink()
        path.mkdir() if damage == "directory" else os.mkfifo(path)
    else:
        path.write_bytes(
            {
                "cut": data[:-1],
                "flipped": data.replace(b"answer 1", b"answer 7"),
                "empty": b"",
                "text": b"no entry at all",
                "other": data.split(b"\n")[1],
            }[damage]
        )
    answer = ask(chat)
    assert isinstance(answer, Generation)
    assert answer.text == "answer 2"
    assert model.asked == 2


def test_an_entry_in_the_place_of_another_is_none(tmp_path: Path) -> None:
    chat, model = cached(tmp_path)
    ask(chat)
    first = entry(tmp_path)
    ask(chat, which="s::d")
    (second,) = set((tmp_path / "cache").glob("??/*")) - {first}
    second.write_bytes(first.read_bytes())
    ask(chat, which="s::d")
    assert model.asked == 3


def test_a_whole_entry_of_no_answer_is_none(tmp_path: Path) -> None:
    from llmgate.generate.response_cache import _digest

    cache = ResponseCache(tmp_path / "cache")
    path = tmp_path / "cache" / KEY[:2] / f"{KEY}.answer"
    path.parent.mkdir()
    path.write_bytes(_digest(KEY, b'{"text": 1}').encode() + b'\n{"text": 1}')
    assert cache.get(KEY) is None


def test_entries_are_for_their_owner_alone(tmp_path: Path) -> None:
    os.umask(0)
    try:
        ask(cached(tmp_path)[0])
    finally:
        os.umask(0o022)
    path = entry(tmp_path)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, path.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="could choose the answers"):
        ResponseCache(folder)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be used"):
        ResponseCache(tmp_path / "file")


def test_what_was_used_least_recently_goes_when_there_is_too_much(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "cache", most_bytes=5_000)
    keys = [f"{number:064x}" for number in range(8)]
    for number, key in enumerate(keys[:4]):
        assert cache.put(key, replace(ANSWER, text="x" * 1000))
        os.utime(tmp_path / "cache" / key[:2] / f"{key}.answer", (number, number))
    assert cache.get(keys[0]) is not None  # Now used most recently.
    cache.put(keys[4], replace(ANSWER, text="x" * 1000))
    there = [key for key in keys if (tmp_path / "cache" / key[:2] / f"{key}.answer").exists()]
    assert keys[0] in there
    assert keys[1] not in there
    assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("??/*")) <= 5_000


def test_a_bound_that_was_passed_before_is_kept_to_by_the_next_run(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "cache")
    for number in range(8):
        cache.put(f"{number:064x}", replace(ANSWER, text="x" * 1000))
    ResponseCache(tmp_path / "cache", most_bytes=4_000).put(KEY, ANSWER)
    assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("??/*")) <= 4_000


def test_the_measurement_of_serving_knows_no_cache() -> None:
    import llmgate.bench

    sources = Path(str(llmgate.bench.__file__)).parent.rglob("*.py")
    assert not [path for path in sources if "response_cache" in path.read_text(encoding="utf-8")]
