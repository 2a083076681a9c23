"""A workload and a load as a suite or a user asks for them.

Everything is drawn before the first byte leaves, and from a seed: both arms of a comparison get the same bodies, in
the same order. So the turns of an assistant in a conversation are drawn too, and not what the server answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.bench.workload.arrivals import due_times
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.traces import read_trace
from llmgate.bench.workload.words import Words, draw_length, open_words, rng
from llmgate.bench.workload.workload import NO_SAMPLING, Workload, chat_workload
from llmgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.bench.workload.traces import RecordedRequest
    from llmgate.record.schema import Message
    from llmgate.record.serving.plan import ServingSpec, TokenLengths, WorkloadSpec

__all__ = ["build_workload", "check_workload", "load_of"]

MOST_TOKENS: Final = 50_000_000
"""Of all prompts of a workload together: they are kept in memory."""
TRIES: Final = 50
"""Draws of a prompt that another request has already: an equal one could come out of a cache."""

Prompt = list[dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A prompt and the tokens of its answer."""

    prompt: Prompt
    output: int


def build_workload(
    spec: WorkloadSpec,
    prompts: Sequence[Sequence[Message | Mapping[str, object]]],
    *,
    name: str,
    model: str,
    max_tokens: int,
    ignore_eos: bool = False,
    requests: int,
    sampling: Mapping[str, object] = NO_SAMPLING,
) -> Workload:
    """The requests of a measurement.

    Args:
        spec: What is sent.
        prompts: The suite's own, one conversation per request; used by workloads of kind `prompts` alone.
        name: Suite name, or the name given to `llmgate bench`.
        model: The served model's name.
        max_tokens: Tokens of an answer, where the workload says nothing else.
        ignore_eos: As `chat_workload`.
        requests: How many are measured; other workloads than `prompts` have one body for each.
        sampling: As `chat_workload`.

    Raises:
        UsageError: If there is no prompt, or a tokenizer is named that cannot be used.
        DatasetError: If a trace cannot be read or is too short.
    """
    if spec.kind == "prompts":
        if not prompts:
            raise UsageError("no prompts to send", where=name, fix="Name a suite, or another workload")
        return chat_workload(
            prompts, name=name, model=model, max_tokens=max_tokens, ignore_eos=ignore_eos, sampling=sampling
        )
    words = open_words(spec.tokenizer, within=spec.within, where=spec.where)
    asked = _bounded(_asked(spec, words, requests, max_tokens), words, spec.where)
    built = chat_workload(
        [each.prompt for each in asked],
        name=name,
        model=model,
        max_tokens=[each.output for each in asked],
        ignore_eos=ignore_eos,
        sampling=sampling,
    )
    _, _, answers = built.description.partition(", ")
    return replace(built, description=f"{requests} {_described(spec, words)}, {answers}")


def check_workload(spec: ServingSpec) -> None:
    """Read the files that a measurement needs, so that one that cannot be used is refused before a server starts.

    Raises:
        UsageError: If a tokenizer cannot be used.
        DatasetError: If a trace cannot be read or is too short.
    """
    open_words(spec.workload.tokenizer, within=spec.workload.within, where=spec.workload.where)
    if spec.workload.kind == "trace":
        read_trace(spec.workload, spec.requests)


def load_of(spec: ServingSpec) -> Load:
    """How hard the server is worked.

    Raises:
        DatasetError: If a trace whose times are replayed cannot be read or is too short.
        UsageError: If a number is out of range.
    """
    recorded = [request.at_s for request in read_trace(spec.workload, spec.requests)] if _replays(spec) else []
    return Load(
        requests=spec.requests,
        concurrency=spec.concurrency,
        arrivals=spec.arrivals,
        due_s=due_times(spec.arrivals, spec.requests, recorded_s=recorded),
        warmup=spec.warmup,
    )


def _replays(spec: ServingSpec) -> bool:
    if spec.arrivals.kind != "trace":
        return False
    if spec.workload.kind != "trace":
        raise UsageError("the times of a trace are to be replayed, and the workload is none", where=spec.workload.where)
    return True


def _asked(spec: WorkloadSpec, words: Words, requests: int, max_tokens: int) -> Iterator[_Asked]:
    if spec.kind == "trace":
        return _recorded(spec, words, read_trace(spec, requests))
    if spec.kind == "multi-turn":
        return _conversations(spec, words, requests, max_tokens)
    return _apart(spec, words, requests, max_tokens)


def _apart(spec: WorkloadSpec, words: Words, requests: int, max_tokens: int) -> Iterator[_Asked]:
    """Prompts that know nothing of each other, but for what those of a group begin with."""
    begins = [words.text(spec.prefix, rng(spec.seed, "prefix", group)) for group in range(spec.groups)] or [""]
    # As many of each group as of any other, in an order that a seed decides.
    order = rng(spec.seed, "order")
    groups = [each % len(begins) for _, each in sorted((order.random(), each) for each in range(requests))]
    seen: set[str] = set()
    for index, group in enumerate(groups):
        length = draw_length(_input(spec), rng(spec.seed, "input", index))
        text = _unseen(words, length, begins[group], (spec.seed, "text", index), seen)
        yield _Asked(prompt=[_user(text)], output=_output(spec, index, max_tokens))


def _conversations(spec: WorkloadSpec, words: Words, requests: int, max_tokens: int) -> Iterator[_Asked]:
    """Conversations that grow, `together` of them at once: the first turn of each, then the second of each."""
    system = [{"role": "system", "content": words.text(spec.prefix, rng(spec.seed, "prefix"))}] if spec.prefix else []
    seen: set[str] = set()
    sent = first = 0
    while sent < requests:
        group = range(first, first + spec.together)
        first += spec.together
        grown: dict[int, Prompt] = {each: list(system) for each in group}
        for turn in range(spec.turns):
            for conversation in group:
                index = conversation * spec.turns + turn
                length = draw_length(_input(spec), rng(spec.seed, "input", index))
                messages = grown[conversation]
                messages.append(_user(_unseen(words, length, "", (spec.seed, "text", index), seen)))
                output = _output(spec, index, max_tokens)
                yield _Asked(prompt=list(messages), output=output)
                sent += 1
                if sent == requests:
                    return
                said = words.text(output, rng(spec.seed, "said", index))
                messages.append({"role": "assistant", "content": said})


def _recorded(spec: WorkloadSpec, words: Words, trace: Sequence[RecordedRequest]) -> Iterator[_Asked]:
    """Prompts of recorded lengths that begin alike where the recorded ones did."""
    seen: set[str] = set()
    # Only the whole prompt is counted: to count it anew after each of its blocks takes time that grows with its square.
    uncounted = replace(words, tokens_in=None)
    for index, request in enumerate(trace):
        whole, rest = divmod(min(request.input, spec.block * len(request.blocks)), spec.block)
        lengths = [spec.block] * whole + ([rest] if rest else [])
        own = request.input - sum(lengths)
        text = ""
        for place, (block, length) in enumerate(zip(request.blocks, lengths, strict=False)):
            last = not own and place == len(lengths) - 1
            text = (words if last else uncounted).text(length, rng(spec.seed, "block", block), after=text)
        if own:
            text = _unseen(words, own, text, (spec.seed, "text", index), seen)
        yield _Asked(prompt=[_user(text)], output=request.output)


def _unseen(words: Words, length: int, after: str, seeds: tuple[object, ...], seen: set[str]) -> str:
    """A text that no other request has, if one is found."""
    for attempt in range(TRIES):
        text = words.text(length, rng(*seeds, attempt), after=after)
        if text not in seen:
            break
    seen.add(text)
    return text


def _bounded(asked: Iterator[_Asked], words: Words, where: str) -> list[_Asked]:
    """All of them, unless they would fill the memory."""
    found, size = [], 0
    for each in asked:
        size += sum(message["content"].count(" ") + 1 for message in each.prompt)
        if size > MOST_TOKENS:
            raise UsageError(
                f"the prompts have more than {MOST_TOKENS} {words.unit} together",
                where=where,
                fix="Ask for fewer requests, or shorter ones",
            )
        found.append(each)
    return found


def _input(spec: WorkloadSpec) -> TokenLengths:
    if spec.input is None:
        raise UsageError("the workload does not say how long prompts are", where=spec.where, fix="Add `input: 512`")
    return spec.input


def _output(spec: WorkloadSpec, index: int, max_tokens: int) -> int:
    return max_tokens if spec.output is None else draw_length(spec.output, rng(spec.seed, "output", index))


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _described(spec: WorkloadSpec, words: Words) -> str:
    unit = words.unit
    own = f"of {spec.input} {unit}"
    if spec.kind == "shared-prefix":
        return f"prompts {own} behind {spec.groups} prefixes of {spec.prefix} {unit}"
    if spec.kind == "multi-turn":
        system = f" behind {spec.prefix} {unit} of system message" if spec.prefix else ""
        return f"requests of conversations of {spec.turns} turns {own} each{system}, {spec.together} at once"
    if spec.kind == "trace":
        return f"requests of the trace {spec.path.name if spec.path else ''}, lengths in {unit}"
    return f"random prompts {own}"
