"""The probe on answers whose truth is known: whose they are, how noisy, and how far models are from each other."""

from __future__ import annotations

import random
import threading
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import ServerError
from llmgate.generate.vllm.adapter_probe import PROMPTS, TOKENS, check_apart, distance, observe, weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODELS = ("base", "old", "new")


class Server:
    """Answers as vLLM does: each model has its log probabilities, which vary from answer to answer.

    Args:
        gap: How far models are from each other, in nats.
        noise: How much an answer varies, in nats.
        whose: Which weights answer a request, by the model asked and those that are in flight; default its own.
    """

    def __init__(
        self, *, gap: float = 1.0, noise: float = 0.01, whose: Callable[[str, set[str]], str] | None = None
    ) -> None:
        self.gap, self.noise = gap, noise
        self._whose = whose or (lambda model, _: model)
        self._random = random.Random(0)  # noqa: S311 - no secret
        self._flight: list[str] = []
        self._full = threading.Condition()
        self.bodies: list[Mapping[str, Any]] = []

    def __call__(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        model = body["model"]
        if model not in MODELS:
            return 404, {"error": {"message": "no such model"}}
        if "allowed_token_ids" not in body:
            return 200, {"choices": [{"text": " a", "token_ids": [zlib.crc32(body["prompt"].encode()) % 999]}]}
        with self._full:
            self.bodies.append(body)
            self._flight.append(model)
            self._full.notify_all()
            # All that are sent together are there before any is answered.
            self._full.wait_for(lambda: len(self._flight) % len(PROMPTS) == 0, timeout=5)
            weights = self._whose(model, set(self._flight))
            values = self._vector(weights, body["prompt"])
        with self._full:
            self._full.wait(0.01)
            self._flight.remove(model)
        return 200, {"choices": [{"logprobs": {"token_logprobs": values}}]}

    def _vector(self, weights: str, prompt: str) -> list[float]:
        own = random.Random(zlib.crc32(f"{weights} {prompt}".encode()))  # noqa: S311 - no secret
        noise = self._random
        return [-3 + self.gap * own.uniform(-1.2, 1.2) + noise.gauss(0, self.noise) for _ in range(TOKENS)]


def test_a_server_that_keeps_models_apart_is_believed() -> None:
    server = Server()
    found = check_apart(server, MODELS, where="it")
    assert found.mixed_up == ()
    assert found.alike == ()
    assert found.worst < 0.2
    assert found.nearest > 10 * found.noise
    assert all(len(body["prompt"].split()) < 16 for body in server.bodies)
    assert {body["max_tokens"] for body in server.bodies} == {TOKENS}
    assert len({body["cache_salt"] for body in server.bodies}) == 2 * len(MODELS) + 1, "nothing comes out of a cache"


def test_the_base_with_the_weights_of_the_last_slot_is_caught() -> None:
    server = Server(whose=lambda model, flight: "new" if model == "base" and flight - {"base"} else model)
    with pytest.raises(ServerError, match=r"batch with requests to other models base answers [4-6] of 6 .* as new does"):
        check_apart(server, MODELS, where="it")


def test_one_answer_with_anothers_weights_is_enough() -> None:
    seen: list[str] = []

    def once(model: str, flight: set[str]) -> str:
        if model != "old" or flight == {"old"}:
            return model
        seen.append(model)
        return "base" if len(seen) == 3 else model

    with pytest.raises(ServerError, match="old answers 1 of 6 questions as base does"):
        check_apart(Server(whose=once), MODELS, where="it")


def test_an_answer_that_is_nobodys_is_caught_too() -> None:
    server = Server(whose=lambda model, flight: "garbage" if len(flight) > 1 and model == "new" else model)
    with pytest.raises(ServerError, match="new answers"):
        check_apart(server, MODELS, where="it")


def test_models_that_are_as_near_as_noise_are_not_told_apart() -> None:
    found = check_apart(Server(gap=0.02, noise=0.02), MODELS, where="it")
    assert set(found.alike) == {("base", "old"), ("base", "new"), ("old", "new")}
    assert found.mixed_up == ()
    assert found.nearest == float("inf")


def test_a_server_that_repeats_itself_to_the_digit_is_no_miracle() -> None:
    found = observe(Server(noise=0.0), MODELS, where="it")
    assert (found.noise, found.worst, found.alike) == (0.0, 0.0, ())


def test_two_equal_adapters_are_alike_and_both_apart_from_the_base() -> None:
    twins = Server(whose=lambda model, _: "base" if model == "base" else "old")
    assert check_apart(twins, MODELS, where="it").alike == (("old", "new"),)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, {"choices": [{"text": "a"}]}), "numbers of its tokens"),
        ((200, {"choices": []}), "answers HTTP 200"),
        ((404, {"error": "no"}), "answers HTTP 404"),
        ((200, None), "answers HTTP 200"),
    ],
)
def test_a_server_that_does_not_tell_is_not_believed(reply: tuple[int, Any], words: str) -> None:
    with pytest.raises(ServerError, match=f"nothing shows .*{words}"):
        check_apart(lambda _: reply, MODELS, where="it")


@pytest.mark.parametrize(
    "told",
    [None, {}, {"token_logprobs": [-1.0]}, {"token_logprobs": [None] * TOKENS}, {"token_logprobs": [float("nan")] * TOKENS}],
)
def test_answers_without_log_probabilities_are_no_proof(told: object) -> None:
    def ask(body: Mapping[str, Any]) -> tuple[int, Any]:
        return 200, {"choices": [{"token_ids": [1], "logprobs": told if "allowed_token_ids" in body else None}]}

    with pytest.raises(ServerError, match="log probabilities"):
        check_apart(ask, MODELS, where="it")


def test_a_connection_that_breaks_is_no_proof() -> None:
    def ask(_: Mapping[str, Any]) -> tuple[int, Any]:
        raise ConnectionResetError("gone")

    with pytest.raises(ServerError, match="a request failed: ConnectionResetError gone"):
        check_apart(ask, MODELS, where="it")


Vectors = st.lists(st.floats(-30, 0), min_size=3, max_size=3).map(tuple)
Answers = st.fixed_dictionaries({name: st.lists(Vectors, min_size=2, max_size=2) for name in ("a", "b")})


@given(first=Answers, second=Answers)
def test_what_is_repeated_exactly_is_ones_own(
    first: Mapping[str, Sequence[tuple[float, ...]]], second: Mapping[str, Sequence[tuple[float, ...]]]
) -> None:
    mean = {
        name: [tuple((a + b) / 2 for a, b in zip(*pair, strict=True)) for pair in zip(first[name], second[name], strict=True)]
        for name in first
    }
    found = weigh([first, second], [mean])
    assert found.mixed_up == ()
    assert found.worst <= 1e-9
    assert found.noise == max(distance(first[m][k], second[m][k]) for m in first for k in range(2))


@given(answers=Answers)
def test_swapped_answers_are_caught_wherever_models_are_told_apart(
    answers: Mapping[str, Sequence[tuple[float, ...]]],
) -> None:
    found = weigh([answers, answers], [{"a": answers["b"], "b": answers["a"]}])
    clear = [k for k in range(2) if distance(answers["a"][k], answers["b"][k]) >= 4e-3]
    if clear:
        assert {(each.model, each.prompt, each.nearest) for each in found.mixed_up} == {
            (model, k, other) for k in clear for model, other in (("a", "b"), ("b", "a"))
        }
    else:
        assert found.alike == (("a", "b"),)
