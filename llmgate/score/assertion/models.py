"""The models that a check may ask: judges, and embeddings. What is sent, what comes back, and how often.

Nothing here knows HTTP: the session hands the callables in, and so does a test with scripted replies. Checks ask by
`ask_judge`, which writes down every question and reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from llmgate.errors import JudgeError, did_you_mean
from llmgate.record.schema import Judgement, Message
from llmgate.score.assertion.together import Memo
from llmgate.suite.asserts import Json
from llmgate.suite.template import javascript

__all__ = [
    "Ask",
    "Embed",
    "JudgeReply",
    "JudgeRequest",
    "JudgeSampling",
    "Models",
    "Token",
    "ask_judge",
    "embed_texts",
    "writable",
]

T = TypeVar("T")

FEWEST_TOKENS: Final = 32
NAME_JUDGE: Final = "Give --judge-model or --judge-endpoint; in Python, judge=…"
NAME_EMBEDDINGS: Final = "Give --embed-endpoint; in Python, embed=…"
CUT_OFF: Final = "the judge's reply was cut off by max_tokens"
SHOWN_PROBLEM_CHARS: Final = 300
SHOWN_REPLY_CHARS: Final = 4000
"""How much of an unreadable reply is shown to the judge again; it may be endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSampling:
    """How judges' replies are sampled.

    Attributes:
        max_tokens: Limit of a reply; a cut-off reply is an error.
        temperature: 0 unless told otherwise.
        seed: For engines that have one.

    Raises:
        JudgeError: If the limit is too small for any verdict.
    """

    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < FEWEST_TOKENS:
            raise JudgeError(f"max_tokens is {self.max_tokens}, too few for a verdict", fix="The default is 1024")

    @property
    def fields(self) -> Mapping[str, float | int | str]:
        """As request fields, and as part of the judge's identity."""
        return {"max_tokens": self.max_tokens, "temperature": self.temperature, "seed": self.seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRequest:
    """What a judge is asked.

    Attributes:
        messages: The conversation, the system message first.
        schema: JSON schema of the reply for structured outputs, None for free text.
        sampling: How the reply is sampled.
        top_logprobs: How many alternatives of each token to report; 0 for no log probabilities.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Json] | None
    sampling: JudgeSampling
    top_logprobs: int = 0

    @property
    def response_format(self) -> dict[str, Json]:
        """As the OpenAI API and vLLM's structured outputs want it; empty for free text."""
        if self.schema is None:
            return {}
        return {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": dict(self.schema)},
        }

    @property
    def body(self) -> dict[str, Json]:
        """The chat completion request without `model`."""
        body: dict[str, Json] = {
            "messages": [{"role": message.role, "content": message.content} for message in self.messages],
            **self.sampling.fields,
        }
        if self.schema is not None:
            body["response_format"] = self.response_format
        if self.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return body

    @property
    def prompt(self) -> str:
        """The whole conversation as one text, for judges that are plain functions."""
        return "\n\n".join(message.content for message in self.messages)

    def told(self, reply: JudgeReply, problem: str) -> JudgeRequest:
        """The same question once more, after the judge's own reply and what is wrong with it."""
        complaint = (
            f"This reply could not be read: {problem[:SHOWN_PROBLEM_CHARS]}\nReply again, in the form asked for."
        )
        quoted = reply.text[:SHOWN_REPLY_CHARS]
        more = (Message(role="assistant", content=quoted), Message(role="user", content=complaint))
        return replace(self, messages=(*self.messages, *more))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token of a reply.

    Attributes:
        text: As generated.
        logprob: Natural logarithm of its probability.
        alternatives: Token text to log probability, of the most probable ones; may hold the token itself.
    """

    text: str
    logprob: float
    alternatives: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReply:
    """What a judge answered.

    Attributes:
        content: The text, or data from a judge that returns it parsed.
        tokens: Its tokens, empty where the judge reports none.
        prompt_tokens: Length of the question as the server counted it, None if it did not say.
        cached_tokens: How many of them the server had ready from an earlier question, None if it did not say.
        cut_off: Whether it ended at `max_tokens`, so that it is no verdict whatever it says.
        model: The model that the reply names, None if it is the one that was asked or the reply names none.
    """

    content: object
    tokens: tuple[Token, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    cut_off: bool = False
    model: str | None = None

    @property
    def text(self) -> str:
        """The reply as text."""
        return self.content if isinstance(self.content, str) else javascript.json_text(self.content)


Ask = Callable[[JudgeRequest], Awaitable[JudgeReply]]
"""Sends a request to a judge; raises if there is no reply."""
Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""A vector for each text, in order; raises if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models that a check may ask.

    Attributes:
        judges: Judges by name.
        default: The judge that is asked where a check names none.
        embed: Embeds texts, None if no embedding model was named.
        sampling: How judges' replies are sampled.
        retries: How often an unreadable reply is asked again, with what was wrong with it.
        log: Where every question to a judge is written down, in the order of asking; None for nowhere.
        memo: What judges were asked about a criterion and not about a case, shared by all cases of a run.
    """

    judges: Mapping[str, Ask] = field(default_factory=dict)
    default: str = ""
    embed: Embed | None = None
    sampling: JudgeSampling = JudgeSampling()
    retries: int = 0
    log: list[Judgement] | None = None
    memo: Memo = field(default_factory=Memo)

    def judge(self, name: str = "") -> Ask:
        """The judge of that name, or the default one.

        Raises:
            JudgeError: If there is none.
        """
        name = name or self.default
        if name in self.judges:
            return self.judges[name]
        named = [judge_name for judge_name in self.judges if judge_name]
        if name:
            fix = did_you_mean(name, named) if named else NAME_JUDGE
            raise JudgeError(f"no judge is called {name!r}", fix=fix)
        if named:
            raise JudgeError("this assert does not say which judge it asks", fix=f"Add judges: [{', '.join(named)}]")
        raise JudgeError("this assert needs a judge, and none was named", fix=NAME_JUDGE)

    def logged(self, log: list[Judgement]) -> Models:
        """The same models, writing down everything that judges are asked and answer."""
        return replace(self, log=log)

    def asking(self, name: str) -> Models:
        """The same models, of which that judge is asked where a check names none."""
        return replace(self, default=name)


async def ask_judge(models: Models, request: JudgeRequest, read: Callable[[JudgeReply], T]) -> T:
    """Ask a judge and read its reply; an unreadable reply is told back and asked again, a bounded number of times.

    Args:
        models: The judge is the default one.
        request: The question.
        read: Turns the reply into its meaning; raises a `JudgeError` if it has none.

    Raises:
        JudgeError: If there is no such judge, or no reply could be read.
    """
    for attempt in range(models.retries + 1):
        reply, entry = await _asked(models, request)
        if reply.cut_off:
            # Not asked again: the next reply would be cut off too.
            _note(models, entry, error=CUT_OFF)
            raise JudgeError(CUT_OFF, fix="Raise `judge: {max_tokens: …}`")
        try:
            return _read(reply, read)
        except JudgeError as error:
            _note(models, entry, error=writable(error.what))
            if attempt == models.retries:
                raise
            request = request.told(reply, error.what)
    raise AssertionError("the loop returns or raises")


def _read(reply: JudgeReply, read: Callable[[JudgeReply], T]) -> T:
    if isinstance(reply.content, str) and not javascript.trim(reply.content):
        raise JudgeError("the judge's reply is empty")
    try:
        return read(reply)
    except RecursionError as error:
        raise JudgeError("the judge's reply is nested too deeply") from error


async def _asked(models: Models, request: JudgeRequest) -> tuple[JudgeReply, int]:
    """The reply, and where in the log the question stands."""
    ask = models.judge()
    entry = 0
    if models.log is not None:
        # Before the reply is there, so that the order is that of the questions and the same in every run.
        entry = len(models.log)
        messages = tuple(replace(message, content=writable(message.content)) for message in request.messages)
        models.log.append(Judgement(judge=models.default, messages=messages, error="no reply came"))
    try:
        reply = await ask(request)
    except Exception as error:
        _note(models, entry, error=writable(str(error)) or type(error).__name__)
        raise
    _note(
        models,
        entry,
        error=None,
        reply=writable(reply.text),
        prompt_tokens=reply.prompt_tokens,
        cached_tokens=reply.cached_tokens,
        model=reply.model,
    )
    return reply, entry


def writable(text: str) -> str:
    """The text as a record can hold it: a surrogate without its partner becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _note(models: Models, entry: int, **facts: Any) -> None:
    if models.log is not None:
        models.log[entry] = replace(models.log[entry], **facts)


async def embed_texts(models: Models, texts: Sequence[str]) -> list[list[float]]:
    """Embed texts.

    Returns:
        One vector of finite numbers per text, all of one length.

    Raises:
        JudgeError: If no embedding model was named, or its vectors are none.
    """
    if models.embed is None:
        raise JudgeError("this assert needs embeddings, and no embedding model was named", fix=NAME_EMBEDDINGS)
    try:
        vectors = [_numbers(vector) for vector in await models.embed(texts)]
    except (TypeError, ValueError, OverflowError) as error:
        raise JudgeError(f"the embedding model gave something that is no vector: {error}") from error
    if len(vectors) != len(texts) or not all(vectors) or len({len(vector) for vector in vectors}) > 1:
        raise JudgeError(f"the embedding model gave no vector for each of {len(texts)} texts")
    if not all(abs(x) < float("inf") for vector in vectors for x in vector):
        raise JudgeError("the embedding model gave a vector with numbers that are not finite")
    return vectors


def _numbers(vector: Sequence[float]) -> list[float]:
    if isinstance(vector, str | bytes):
        # Its characters could be digits.
        raise TypeError(f"{type(vector).__name__} instead of a list of numbers")
    return [float(x) for x in vector]
