"""Does a server that serves several adapters of one base give each name its own weights, in a mixed batch too?

Some versions of vLLM do not (see `adapters`), and nothing shows it: the answers are fluent, and another model's. So the
models are known by what they say alone, and then all of them are asked at once.

What is compared is no text, as greedy answers are not repeatable, but the log probabilities of tokens that are forced:
for each of a few short prompts the server generates one and the same token `TOKENS` times (`allowed_token_ids`), and tells
what the model by itself would have given it. That is a vector for each model and prompt, of prefill (the first entry) and
decoding (the others); distances between vectors are root mean squares, in nats.

- *Alone*: every model is asked all prompts with nothing else in flight, once and then twice over in one batch. What differs
  between its three answers to a prompt is noise; what differs between two models is what tells them apart. A prompt tells two
  models apart if they differ by `CLEARLY` times the largest noise of any prompt; two models are told apart if at least
  half of the prompts do.
- *Mixed*: all models are asked all prompts at once, in turn. An answer is its model's own if it is nearer to that than half
  the way to the nearest model from which the prompt tells it; so the noise has to double before one's own answer is
  not taken for it, and an answer with another's weights is beyond the limit by as much.

Prompts are shorter than the blocks of a prefix cache, and salted, so that every answer is computed.

How often it errs was measured (docs/cookbook/lora.md).
"""

from __future__ import annotations

import http.client
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from itertools import combinations
from typing import Any, Final

from llmgate.errors import ServerError

__all__ = ["CLEARLY", "PROMPTS", "TOKENS", "Apart", "MixedUp", "Vector", "check_apart", "distance", "observe", "weigh"]

Vector = tuple[float, ...]
"""Log probabilities of the forced tokens, natural logarithms."""
Ask = Callable[[Mapping[str, Any]], tuple[int, Any]]
"""Sends the body of a completion; gives status and the reply's JSON. Called from several threads."""
Answers = Mapping[str, Sequence[Vector]]
"""By model: what it says to each prompt."""

PROMPTS: Final = (
    "The capital of France is",
    "Once upon a time there was",
    "def add(a, b): return",
    "Dear customer, thank you for",
    '{"name": "Ann", "age":',
    "Question: What is 7 times 8? Answer:",
)
TOKENS: Final = 8
CLEARLY: Final = 4.0
LEAST_NOISE: Final = 1e-3
"""Nats. A server that repeats itself to the digit is not trusted to the digit."""
COPIES: Final = (1, 2)
"""Of each prompt in flight, for a model that is asked alone: the size of a batch is part of what makes noise."""
FIX: Final = (
    "Do not believe what it answers. Update vLLM, or leave a slot to spare (--max-loras above the number of adapters), "
    "or serve one adapter at a time"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedUp:
    """One answer in a mixed batch that is not its model's own.

    Attributes:
        model: Who was asked.
        prompt: Which prompt, from 0.
        nearest: The model whose answer alone is the nearest.
        own: Distance to the model's own answer alone, in nats.
        limit: The largest that could be its own.
    """

    model: str
    prompt: int
    nearest: str
    own: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What the probe found.

    Attributes:
        mixed_up: Answers that are not their models' own.
        alike: Pairs of models that it cannot tell from each other, so that nothing is known of them.
        noise: The largest distance between two answers of one model alone, in nats.
        nearest: The smallest distance between two models that are told apart, in nats; infinite if there are none.
        worst: The largest share of its limit that a model's own answer came to; above 1 it is not its own.
    """

    mixed_up: tuple[MixedUp, ...]
    alike: tuple[tuple[str, str], ...]
    noise: float
    nearest: float
    worst: float


def distance(one: Vector, other: Vector) -> float:
    """The root mean square of what differs, in nats."""
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one))


def weigh(alone: Sequence[Answers], mixed: Sequence[Answers]) -> Apart:
    """Hold answers of a mixed batch against those of the models alone; see the module's text.

    Args:
        alone: Two or more times, each of all models.
        mixed: Once or more, each of all models.
    """
    models = tuple(alone[0])
    prompts = range(len(alone[0][models[0]]))
    known = {model: [_mean([answers[model][k] for answers in alone]) for k in prompts] for model in models}
    noise = max(
        distance(one[model][k], other[model][k])
        for one, other in combinations(alone, 2)
        for model in models
        for k in prompts
    )
    clear = CLEARLY * max(noise, LEAST_NOISE)
    tells: dict[tuple[str, str], set[int]] = {}
    alike = []
    nearest = math.inf
    for one, other in combinations(models, 2):
        gaps = [distance(known[one][k], known[other][k]) for k in prompts]
        telling = {k for k in prompts if gaps[k] >= clear}
        if 2 * len(telling) < len(gaps):
            alike.append((one, other))
            continue
        nearest = min(nearest, *(gaps[k] for k in telling))
        tells[one, other] = tells[other, one] = telling
    mixed_up, worst = [], 0.0
    for answers in mixed:
        for model in models:
            for k in prompts:
                limits = [
                    distance(known[model][k], known[other][k]) / 2
                    for other in models
                    if k in tells.get((model, other), ())
                ]
                if not limits:
                    continue
                gaps_to = {each: distance(answers[model][k], known[each][k]) for each in models}
                own, limit = gaps_to[model], min(limits)
                worst = max(worst, own / limit)
                if own > limit:
                    near = min(gaps_to, key=gaps_to.__getitem__)
                    mixed_up.append(MixedUp(model=model, prompt=k, nearest=near, own=own, limit=limit))
    return Apart(mixed_up=tuple(mixed_up), alike=tuple(alike), noise=noise, nearest=nearest, worst=worst)


def observe(ask: Ask, models: Sequence[str], *, where: str) -> Apart:
    """Ask every model alone, then all of them at once.

    Args:
        ask: Reaches the server.
        models: The names of the base, first, and of the adapters.
        where: What the server is called in errors.

    Raises:
        ServerError: If it does not answer such questions.
    """
    tokens = _forced_tokens(ask, models[0], where)
    with ThreadPoolExecutor(max_workers=max(len(models), *COPIES) * len(PROMPTS)) as pool:

        def together(asked: Sequence[str]) -> list[Vector]:
            """All prompts for each of the names, one of which may stand there twice, in flight at once."""
            salt = uuid.uuid4().hex
            # Interleaved, so that requests to different models arrive next to each other.
            order = [(model, k) for k in range(len(PROMPTS)) for model in asked]
            return list(pool.map(lambda each: _vector(ask, each[0], each[1], tokens[each[1]], salt, where), order))

        alone: list[dict[str, list[Vector]]] = [{} for _ in range(sum(COPIES))]
        for model in models:
            answers = [together([model] * copies) for copies in COPIES]
            parts = [part[copy::copies] for part, copies in zip(answers, COPIES, strict=True) for copy in range(copies)]
            for time, part in zip(alone, parts, strict=True):
                time[model] = part
        vectors = together(models)
        mixed = {model: vectors[place :: len(models)] for place, model in enumerate(models)}
    return weigh(alone, [mixed])


def check_apart(ask: Ask, models: Sequence[str], *, where: str) -> Apart:
    """Refuse a server that gives a name another model's weights.

    Args:
        ask: Reaches the server.
        models: The names of the base, first, and of the adapters.
        where: What the server is called in errors.

    Returns:
        What was found, without anything that is mixed up. Pairs that are alike stay unproven: the caller has to see to it
        that they are never in flight together.

    Raises:
        ServerError: If an answer is not its model's own, or the server does not answer such questions.
    """
    found = observe(ask, models, where=where)
    for model in models:
        odd = [each for each in found.mixed_up if each.model == model]
        if not odd:
            continue
        others = [each.nearest for each in odd if each.nearest != model]
        as_whom = max(set(others), key=others.count) if others else ""
        how = (
            f"answers {others.count(as_whom)} of {len(PROMPTS)} questions as {as_whom} does"
            if as_whom
            else f"answers {len(odd)} of {len(PROMPTS)} questions otherwise than alone, and as no other model does"
        )
        worst = max(odd, key=lambda each: each.own / each.limit)
        raise ServerError(
            f"in a batch with requests to other models {model} {how} (it is {worst.own:.2f} nats from its own answer, "
            f"and {worst.limit:.2f} could be noise)",
            where=where,
            fix=FIX,
        )
    return found


def _mean(vectors: Sequence[Vector]) -> Vector:
    return tuple(math.fsum(entries) / len(vectors) for entries in zip(*vectors, strict=True))


def _forced_tokens(ask: Ask, base: str, where: str) -> list[int]:
    """What the base says first to each prompt: likely tokens are those of which probabilities tell most."""
    tokens = []
    for prompt in PROMPTS:
        body = {"model": base, "prompt": prompt, "max_tokens": 1, "temperature": 0, "return_token_ids": True}
        choice = _choice(ask, body, where)
        ids = choice.get("token_ids")
        if not (isinstance(ids, list) and ids and isinstance(ids[0], int)):
            raise _unable("it does not tell the numbers of its tokens", where)
        tokens.append(ids[0])
    return tokens


def _vector(ask: Ask, model: str, prompt: int, token: int, salt: str, where: str) -> Vector:
    body = {
        "model": model,
        "prompt": PROMPTS[prompt],
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "logprobs": 1,
        "allowed_token_ids": [token],
        "cache_salt": salt,
    }
    told = _choice(ask, body, where).get("logprobs")
    values = told.get("token_logprobs") if isinstance(told, dict) else None
    if not (isinstance(values, list) and len(values) == TOKENS and all(map(_finite, values))):
        raise _unable("it does not tell the log probabilities of the tokens that it was made to say", where)
    return tuple(float(value) for value in values)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _choice(ask: Ask, body: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        status, reply = ask(body)
    except (OSError, http.client.HTTPException) as error:
        raise _unable(f"a request failed: {type(error).__name__} {error}", where) from error
    choices = reply.get("choices") if status == HTTPStatus.OK and isinstance(reply, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise _unable(f"it answers HTTP {status} to a completion of {body['model']}: {str(reply)[:200]}", where)
    return choices[0]


def _unable(why: str, where: str) -> ServerError:
    return ServerError(
        f"nothing shows that the server keeps its adapters apart: {why}",
        where=where,
        fix="Serve it with vLLM 0.11 or later, or one model on each server",
    )
