"""Who answered, on one side and on both: another model, a cache, a fallback, or the same model on both sides."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.who_answered import names_given, who_answered
from llmgate.gate.decision.wording import one_line
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.answered_by import AnsweredBy
    from llmgate.record.manifest import Manifest, ModelIdentity, ServerIdentity
    from llmgate.record.schema import Record

__all__ = [
    "answered_otherwise",
    "asks_same",
    "cached_answers",
    "judge_models",
    "models_that_answered",
    "same_model_asked",
    "seems_same",
]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - compared, not bound
PORTS: Final = {"http": 80, "https": 443}


def answered_otherwise(record: Record) -> list[Problem]:
    """What bars PASS because answers, or judges' replies, are not one model's own, fresh ones."""
    manifest = record.manifest
    problems = [
        Problem(where="model", what=what, fix=fix)
        for what, fix in who_answered(_said(record), manifest.model.name, manifest.server.model_names)
    ]
    for judge, models in judge_models(record).items():
        if len(models) > 1:
            shares = ", ".join(f"{n:,} from {one_line(name)}" for name, n in models.most_common())
            what = f"replies came from {len(models)} models: {shares}"
            problems.append(Problem(where=f"judge {judge}".strip(), what=what, fix="Name one dated model as the judge"))
    return problems


def models_that_answered(record: Record) -> Counter[str]:
    """How many answers came from which model, as far as replies say."""
    return names_given(_said(record), record.manifest.model.name, record.manifest.server.model_names)


def cached_answers(record: Record) -> int:
    """How many answers came out of a cache, ours or a gateway's."""
    return sum(by is not None and bool(by.cached) for by in _said(record))


def judge_models(record: Record) -> dict[str, Counter[str]]:
    """By the name of each judge, how many replies came from which model."""
    identities = {"": record.manifest.judge, **record.manifest.judges}
    models: dict[str, Counter[str]] = {}
    for asked in (one for result in record.scored.values() for check in result.checks for one in check.judgements):
        judge = identities.get(asked.judge)
        if asked.reply is not None and judge is not None:
            models.setdefault(asked.judge, Counter())[asked.model or judge.model] += 1
    return models


def same_model_asked(candidate: Record, champion: Record) -> list[Problem]:
    """Both runs asked the same model at the same endpoint, so that a PASS would only say that it did not change."""
    ours, theirs = candidate.manifest, champion.manifest
    if not seems_same(candidate, champion) or ours.server.deployment != theirs.server.deployment:
        return []
    return [
        Problem(
            where="model",
            what=f"both runs asked {one_line(ours.model.name)} at {one_line(ours.server.url)}, and nothing shows that "
            "another model answered the second time",
            fix="Where another one is served there now, name each with --deployment; a second run of the same model "
            "goes to --noise, or to `llmgate power --aa`",
        )
    ]


def seems_same(candidate: Record, champion: Record) -> bool:
    """Whether both runs asked a model of the same name at the same endpoint, which may still be two.

    It is another one if the endpoint gives it another origin, or if replies name another one. Servers that llmgate
    started are known by their weights.
    """
    ours, theirs = candidate.manifest, champion.manifest
    if not asks_same(ours.model, ours.server, theirs):
        return False
    return not theirs.server.model_names or _named(candidate) == _named(champion)


def asks_same(model: ModelIdentity, server: ServerIdentity, theirs: Manifest) -> bool:
    """Whether a run asks for a model of the champion's name and origin at the champion's endpoint.

    Args:
        model: Which one the run asks.
        server: Where.
        theirs: Of the champion's run.
    """
    if not server.model_names or server.owned or theirs.server.owned:
        return False
    names = {model.name, *server.model_names} & {theirs.model.name, *theirs.server.model_names}
    ours = _place(server.url), _place(model.source)
    return bool(names) and ours == (_place(theirs.server.url), _place(theirs.model.source))


def _named(record: Record) -> tuple[set[str], set[str]]:
    """What answers say of their model and of who ran it, beyond the name that was asked for."""
    models = models_that_answered(record).keys() - {record.manifest.model.name, ""}
    return models, {by.provider for by in _said(record) if by is not None and by.provider}


def _place(source: str) -> object:
    """An address in one form, or whatever else it is."""
    try:
        parts = urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError:
        return source
    if parts.scheme not in PORTS or host is None:
        return source
    return "" if host in LOOPBACK else host.rstrip("."), port or PORTS[parts.scheme], parts.path.rstrip("/")


def _said(record: Record) -> list[AnsweredBy | None]:
    return [answer.answered_by for answer in _answers(record)]


def _answers(record: Record) -> Iterator[Generation]:
    return (result.answer for result in record.scored.values() if isinstance(result.answer, Generation))
