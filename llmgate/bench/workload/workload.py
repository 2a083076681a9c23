"""What is sent: request bodies, fixed before the first byte leaves, and the digest that identifies them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.schema import Message

__all__ = ["Workload", "chat_workload", "digest_bodies", "model_in"]

NO_SAMPLING: Mapping[str, object] = MappingProxyType({})
RESERVED = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "n"})
"""Fields of a request that the workload itself sets, or that would change what a token is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A list of requests; a measurement that needs more begins again at the first one.

    Attributes:
        name: Suite name, or the name given to `llmgate bench`.
        description: What is sent, in words.
        bodies: JSON request bodies for `/v1/chat/completions`, in order.
        digest: `digest_bodies` of them.

    Raises:
        UsageError: If there is no request, or the digest is not that of the bodies.
    """

    name: str
    description: str
    bodies: tuple[bytes, ...]
    digest: str

    def __post_init__(self) -> None:
        if not self.bodies:
            raise UsageError("a workload without requests", where=self.name, fix="Give it at least one prompt")
        if self.digest != digest_bodies(self.bodies):
            raise UsageError(
                "the digest is not that of the bodies", where=self.name, fix="Build workloads with chat_workload"
            )

    def take(self, count: int, *, salt: str = "") -> tuple[bytes, ...]:
        """The first `count` requests to send, beginning again as often as needed; no two of them are the same.

        A repeated prompt would be answered out of a gateway's cache, or find all of itself in the server's prefix
        cache. So each repetition begins its prompts with a mark of its own, `[1] `, `[2] `, …: what the prompts of one
        repetition share they still share, and nothing with those of another one. A salt does the same for measurements:
        it is part of every mark. Digests are taken without one, so that measurements can be compared.

        Args:
            count: How many.
            salt: Sets these requests apart from those of other measurements.
        """
        bodies = [self.bodies[i % len(self.bodies)] for i in range(count)]
        seen: Counter[bytes] = Counter()
        repetitions = []
        for body in bodies:  # counted, because a workload may hold a prompt more than once
            repetitions.append(seen[body])
            seen[body] += 1
        width = len(str(max(repetitions, default=0)))  # all marks are equally long
        before = f"{salt}." if salt else ""
        marks = (f"[{before}{repetition:0{width}}] " if salt or repetition else "" for repetition in repetitions)
        return tuple(_unique(body, mark) for body, mark in zip(bodies, marks, strict=True))

    def warm_up(self, count: int, *, salt: str = "") -> tuple[bytes, ...]:
        """As `take`, with the words of every message in reverse order.

        So they are as long as the real ones, but leave nothing in the prefix cache that a measured request could hit.
        """
        return tuple(_reversed_words(body) for body in self.take(count, salt=salt))


def chat_workload(
    prompts: Sequence[Sequence[Message | Mapping[str, object]]],
    *,
    name: str,
    model: str,
    max_tokens: int | Sequence[int],
    ignore_eos: bool = False,
    sampling: Mapping[str, object] = NO_SAMPLING,
) -> Workload:
    """Requests for chat completions, streamed, with usage.

    Args:
        prompts: One conversation per request; messages may be given as they are sent, with parts and tool calls.
        name: Name of the workload.
        model: The served model's name. It is not part of the digest: champion and candidate get the same workload.
        max_tokens: Longest answer, in tokens; of all requests, or of each.
        ignore_eos: Every answer has exactly `max_tokens` tokens. A vLLM extension; without it the output length, and
            with it the load, depends on what the model says.
        sampling: Further fields of each request; temperature 0 unless given.

    Raises:
        UsageError: If there is no prompt, a prompt has no message, or an argument cannot be sent.
    """
    fix = "Change the arguments of the workload"
    longest = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
    if not prompts or not all(prompts):
        raise UsageError("every request needs at least one message", where=name, fix=fix)
    if len(longest) != len(prompts):
        raise UsageError(f"{len(longest)} lengths of answers for {len(prompts)} requests", where=name, fix=fix)
    if min(longest) < 1:
        raise UsageError(f"max_tokens is {min(longest)}, but must be at least 1", where=name, fix=fix)
    taken = sorted(RESERVED & set(sampling))
    if taken:
        raise UsageError(f"sampling may not set {', '.join(taken)}", where=name, fix=fix)
    common = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        **sampling,
        **({"ignore_eos": True} if ignore_eos else {}),
    }
    bodies = tuple(
        _dump(
            {"model": model, "max_tokens": tokens, **common, "messages": [_sent(message) for message in messages]}, name
        )
        for messages, tokens in zip(prompts, longest, strict=True)
    )
    least, most = min(longest), max(longest)
    length = f"{'exactly' if ignore_eos else 'at most'} {most if least == most else f'{least} to {most}'}"
    description = f"{len(bodies)} chat prompts, {length} output tokens, streamed"
    return Workload(name=name, description=description, bodies=bodies, digest=digest_bodies(bodies))


def _sent(message: Message | Mapping[str, object]) -> Mapping[str, object]:
    return message if isinstance(message, Mapping) else {"role": message.role, "content": message.content}


def digest_bodies(bodies: Sequence[bytes]) -> str:
    """SHA-256, in hex, of request bodies in order, without their `model`.

    The order of a body's fields and its white space do not count.

    Raises:
        UsageError: If a body is not a JSON object.
    """
    digest = hashlib.sha256()
    for index, body in enumerate(bodies):
        fields = {key: value for key, value in _load(body, index).items() if key != "model"}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()


def model_in(body: bytes) -> str:
    """The model that a request names, "" if it names none."""
    return str(_load(body, 0).get("model") or "")


def _unique(body: bytes, mark: str) -> bytes:
    """The body with a mark before the first text that it has; as it is without a mark, or without a text.

    Its fields stay in their order, and no other byte of their values changes.
    """
    if not mark:
        return body
    fields = _load(body, 0)
    messages = fields.get("messages")
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            message["content"] = mark + content
            break
        parts = content if isinstance(content, list) else []
        texts = [part for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if texts:
            texts[0]["text"] = mark + texts[0]["text"]
            break
    return json.dumps(fields, separators=(",", ":")).encode()


def _reversed_words(body: bytes) -> bytes:
    fields = _load(body, 0)
    messages = fields.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if isinstance(message, dict) and isinstance(message.get("content"), str):
                message["content"] = " ".join(reversed(message["content"].split()))
    return json.dumps(fields, separators=(",", ":")).encode()


def _dump(fields: Mapping[str, object], name: str) -> bytes:
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a request cannot be written as JSON ({error})", where=name, fix="Look at sampling"
        ) from error


def _load(body: bytes, index: int) -> dict[str, object]:
    where = f"request {index}"
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise UsageError(f"the body is not JSON ({error})", where=where, fix="Send JSON objects") from error
    if not isinstance(fields, dict):
        raise UsageError("the body is not a JSON object", where=where, fix="Send JSON objects")
    return fields
