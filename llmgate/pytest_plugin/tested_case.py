"""What a test in code gets as `case`: a row, the model under test, and a place for what it finds."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from llmgate.errors import UsageError, did_you_mean
from llmgate.record.schema import CaseResult, CheckResult, Exchange, Failure, FailureKind, Generation, Outcome
from llmgate.score.execute import one_line, score_case
from llmgate.score.output_features import read_features
from llmgate.session.run.measure import context_of
from llmgate.suite.code.plan import DEFAULT_METRIC
from llmgate.suite.form.asserts import read_assert

if TYPE_CHECKING:
    from llmgate.record.schema import CaseKey
    from llmgate.score.vocabulary import Checks
    from llmgate.session.run.tested import TestedModel
    from llmgate.suite.asserts import AssertSpec, Json
    from llmgate.suite.cases import Case

__all__ = ["CaseUnderTest", "Clients"]

PLAIN: Final = "assert"
"""The type of the check that a plain `assert` is."""
BY_HAND: Final = "check"
"""The type of a check that a test gives as a value."""


class Clients(Protocol):
    """The official clients of one process."""

    def for_case(self, token: str) -> Any:
        """An `openai.AsyncOpenAI` whose requests are kept under a token."""

    def for_case_sync(self, token: str) -> Any:
        """An `openai.OpenAI` likewise."""


class CaseUnderTest:
    """One case of a suite in code.

    ```python
    reply = await llm.chat.completions.create(model=case.model, messages=case.messages)
    case.check("accuracy", case["answer"] in reply.choices[0].message.content)
    ```

    Attributes:
        id: The case's id.
        row: Its row: column to value.
        messages: What it asks: the suite's prompt filled with the row, or the row's column `messages`.
        repeat: Which generation of it this is, from 0.
        seed: The seed of this repeat.
        token: What stands for it in a header of its requests, which takes no other letters than ASCII's.
    """

    def __init__(
        self,
        case: Case,
        key: CaseKey,
        *,
        metrics: tuple[str, ...],
        vocabulary: Checks,
        model: Callable[[], TestedModel],
        clients: Callable[[], Clients],
    ) -> None:
        request = case.request(key.repeat)
        seed = request.get("seed")
        self.id = case.planned.case
        self.key = key
        self.row: Mapping[str, Json] = case.variables
        self.messages: list[Any] = list(case.messages)
        self.repeat = key.repeat
        self.seed = seed if isinstance(seed, int) else 0
        self._case = case
        self._request = request
        self._metrics = metrics
        self._vocabulary = vocabulary
        self._model = model
        self._clients = clients
        self._checks: list[CheckResult] = []
        self._asserts: list[tuple[AssertSpec, Mapping[str, Any]]] = []
        self._exchanges: list[Exchange] = []
        self._text: str | None = None
        self._lock = threading.Lock()
        self.token = quote(str(key))

    def __repr__(self) -> str:
        return f"<case {self.key}>"

    def __getitem__(self, column: str) -> Json:
        """The row's value in a column.

        Raises:
            KeyError: If there is no such column; it names the nearest.
        """
        if column not in self.row:
            raise KeyError(f"the row has no column {column!r}. {did_you_mean(column, self.row)}")
        return self.row[column]

    @property
    def model(self) -> str:
        """The name of the model under test in requests."""
        return self._model().model

    @property
    def base_url(self) -> str:
        """Where the model under test is asked, including `/v1`."""
        return self._model().url

    @property
    def request(self) -> dict[str, Any]:
        """The whole chat completion request: model, messages, and the suite's sampling."""
        return {"model": self.model, **self._request}

    @property
    def client(self) -> Any:
        """An `openai.AsyncOpenAI` at the model under test."""
        return self._clients().for_case(self.token)

    @property
    def client_sync(self) -> Any:
        """An `openai.OpenAI` at the model under test."""
        return self._clients().for_case_sync(self.token)

    def answer(self, text: str) -> None:
        """Say what the answer is, where it is not the text of the last reply: an agent's last word, or an app's.

        Args:
            text: The answer, as asserts and the report see it.
        """
        if not isinstance(text, str):
            raise TypeError(f"an answer is a text, not {type(text).__name__}")
        self._text = text

    def check(
        self,
        metric: str,
        value: object,
        *,
        reason: str = "",
        threshold: float = 0.5,
        weight: float = 1.0,
        required: bool = False,
    ) -> None:
        """Feed a metric.

        Args:
            metric: Its name. It has to stand in the test's source, or the run could not know it beforehand.
            value: True or False; a score from 0 to 1; or an assert as in a suite file, which is applied to the answer.
            reason: One line for a reader.
            threshold: The least score that passes, where the value is a score.
            weight: How much it counts within its metric.
            required: Whether a failure fails the whole run, whatever the statistics say.

        Raises:
            UsageError: If the metric is unknown, or an assert asks a model and does not stand in the source as a
                literal.
            TypeError: If the value is neither.
        """
        if isinstance(value, Mapping):
            self._assert(metric, value)
            return
        self._known(metric)
        if inspect.isawaitable(value):
            raise TypeError(f"the value of {metric!r} is a coroutine: await it")
        score = _score(value)
        ended = Outcome.ERROR if score is None else Outcome.PASS if score >= threshold else Outcome.FAIL
        if isinstance(value, bool):
            ended = Outcome.PASS if score else Outcome.FAIL
        self._checks.append(
            CheckResult(
                type=BY_HAND,
                outcome=ended,
                score=score,
                reason=one_line(reason or (f"the score is {value}" if score is None or 0 < score < 1 else "")),
                metric=metric,
                weight=weight,
                required=required,
            )
        )

    def _known(self, metric: str) -> None:
        if metric not in self._metrics:
            raise UsageError(
                f"nothing said before the run that {self.key.suite} has the metric {metric!r}",
                where=str(self.key),
                fix=f'Write its name in the call: case.check("{metric}", …). {did_you_mean(metric, self._metrics)}',
            )

    def _assert(self, metric: str, written: Mapping[str, Any]) -> None:
        whole = {**written, "metric": written.get("metric") or metric}
        self._known(str(whole["metric"]))
        spec = read_assert(whole, self._vocabulary.names, where=str(self.key))
        if self._vocabulary.defers(spec) and not any(_same(spec, known) for known in self._case.asserts):
            raise UsageError(
                f"{spec.name} asks a model, and nothing said before the run that it would",
                where=str(self.key),
                fix="Write the assert as a literal in the call; columns of the row are templates: {{ answer }}",
            )
        self._vocabulary.validate(spec, self.row)
        self._asserts.append((spec, whole))

    # What becomes of it.

    def keep(self, exchange: Exchange) -> None:
        """Note a request of this case, from any thread."""
        with self._lock:
            self._exchanges.append(exchange)

    def finish(self, error: BaseException | None) -> CaseResult:
        """The result, once the test has ended.

        Args:
            error: What it raised, None if it came to its end.
        """
        answer = self._answer(error)
        if isinstance(answer, Failure):
            return CaseResult(key=self.key, answer=answer, exchanges=tuple(self._exchanges))
        if isinstance(error, AssertionError):
            self._missed(error)
        context = context_of(self._case, answer, exchanges=self._exchanges)
        specs = tuple(spec for spec, _ in self._asserts)
        checks = [*self._checks, *score_case(specs, context, self._vocabulary)]
        asked = tuple(written for spec, written in self._asserts if self._vocabulary.defers(spec))
        pending = {spec.metric for spec in specs if self._vocabulary.defers(spec)}
        checks += self._unfed({check.metric for check in checks} | pending, error)
        return CaseResult(
            key=self.key,
            answer=answer,
            checks=tuple(checks),
            judged=not asked,
            threshold=self._case.planned.threshold,
            traits=read_features(context),
            asserts=asked,
            exchanges=tuple(self._exchanges),
        )

    def _answer(self, error: BaseException | None) -> Generation | Failure:
        asked = [each.answer for each in self._exchanges if each.answer is not None]
        if error is not None and not isinstance(error, AssertionError):
            last = asked[-1] if asked else None
            if isinstance(last, Failure):
                return last
            return Failure(kind=FailureKind.TEST, message=one_line(f"{type(error).__name__}: {error}"), attempts=0)
        if isinstance(asked[-1] if asked else None, Failure) and self._text is None:
            return asked[-1]
        replies = [each for each in asked if isinstance(each, Generation)]
        if not replies and self._text is None:
            return Failure(
                kind=FailureKind.TEST,
                message="the test asked the model nothing: use the fixture llm, or say what it answered by case.answer",
                attempts=0,
            )
        if not replies:
            return Generation(text=self._text or "", latency_s=0.0)
        doubtful = next((each.answered_by for each in replies if each.answered_by is not None), None)
        return replace(
            replies[-1],
            text=replies[-1].text if self._text is None else self._text,
            tool_calls=replies[-1].tool_calls if self._text is None else None,
            prompt_tokens=_sum(each.prompt_tokens for each in replies),
            completion_tokens=_sum(each.completion_tokens for each in replies),
            latency_s=math.fsum(each.latency_s for each in replies),
            answered_by=doubtful,
        )

    def _missed(self, error: AssertionError) -> None:
        """A failed `assert` is the case's only finding on its metric: what would have come after it is not known."""
        self._checks = [check for check in self._checks if check.metric != DEFAULT_METRIC]
        self._asserts = [(spec, written) for spec, written in self._asserts if spec.metric != DEFAULT_METRIC]
        reason = one_line(str(error) or "an assert failed")
        self._checks.append(
            CheckResult(type=PLAIN, outcome=Outcome.FAIL, score=0.0, reason=reason, metric=DEFAULT_METRIC)
        )

    def _unfed(self, fed: set[str], error: BaseException | None) -> list[CheckResult]:
        """What a metric lacks is an error, but that plain asserts passed is a finding."""
        wanted = self._case.planned.metrics
        checks = []
        for metric in self._metrics if wanted is None else wanted:
            if metric in fed:
                continue
            if metric == DEFAULT_METRIC and error is None:
                checks.append(CheckResult(type=PLAIN, outcome=Outcome.PASS, score=1.0, metric=metric))
                continue
            why = "the test ended without a check of it"
            if error is not None:
                why = "the assert before its check failed: put case.check before it"
            checks.append(CheckResult(type=BY_HAND, outcome=Outcome.ERROR, score=None, reason=why, metric=metric))
        return checks


def _same(spec: AssertSpec, known: AssertSpec) -> bool:
    return replace(spec, where="") == replace(known, where="")


def _score(value: object) -> float | None:
    """True and False as 1 and 0, a number as it is; None for a number that is no score.

    Raises:
        TypeError: If it is no number.
    """
    wrong = f"a check takes True, False, a score from 0 to 1, or an assert, not {value!r}"[:200]
    if isinstance(value, str):
        raise TypeError(wrong)
    try:
        score = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise TypeError(wrong) from error
    return score if math.isfinite(score) and 0.0 <= score <= 1.0 else None


def _sum(counts: Any) -> int | None:
    """The sum, None if one is not known."""
    listed = list(counts)
    return None if any(count is None for count in listed) else sum(listed)
