"""Several servers of one model: do they serve the same, and which are a judge's?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmgate.errors import EndpointError, LlmgateError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.endpoint import probe
from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from llmgate.generate.client import Endpoint
    from llmgate.generate.endpoint import EndpointFacts
    from llmgate.session.settings.typed import Settings

__all__ = ["changed_judge", "check_judges", "different", "judge_facts", "judge_others"]


def different(first: EndpointFacts, other: EndpointFacts) -> str:
    """What a server says of itself that another one says differently, "" if nothing."""
    told = (
        ("the model", first.model, other.model),
        ("the engine", first.engine, other.engine),
        ("its version", first.version, other.version),
        ("the model's origin", first.source, other.source),
        ("the longest context", first.longest, other.longest),
        ("a list of models", not first.unconfirmed, not other.unconfirmed),
    )
    found = next(((what, one, two) for what, one, two in told if one != two), None)
    if found is None:
        return ""
    what, one, two = found
    return f"{what} is {_said(two)} there, and {_said(one)} at the first"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "there" if value else "missing"
    return "not told" if value is None else one_line(str(value), 120)


def judge_others(settings: Settings, endpoint: Endpoint) -> tuple[Endpoint, ...]:
    """The further servers of a judge.

    Args:
        settings: Name them.
        endpoint: Of any judge; only that of `--judge-endpoint` has others.

    Raises:
        UsageError: If the key may not go to one.
    """
    if not settings.judge_endpoint or normalise_url(settings.judge_endpoint) != endpoint.url:
        return ()
    urls = map(normalise_url, settings.judge_replicas)
    return tuple(replace(endpoint, url=url, api_key=settings.judge_api_key(url)) for url in urls)


def judge_facts(settings: Settings, url: str, model: str | None) -> EndpointFacts:
    """What a server says of the judge that it serves; EndpointError if it cannot be used."""
    return probe(url, api_key=settings.judge_api_key(url), model=model, key_place=settings.judge_key_place())


def changed_judge(settings: Settings, url: str, model: str) -> str:
    """Why a server that comes back does not serve the judge any more, "" if it does."""
    try:
        facts = judge_facts(settings, url, model)
    except LlmgateError as error:
        return one_line(error.what, 160)
    return "" if facts.model == model else f"it serves {one_line(facts.model, 120)} now"


def check_judges(settings: Settings, first: EndpointFacts) -> None:
    """Refuse servers that do not serve the judge that the first one serves: verdicts would have two authors.

    Args:
        settings: Name them.
        first: What the first one says.

    Raises:
        EndpointError: If one cannot be used, or serves something else.
    """
    for written in settings.judge_replicas:
        url = normalise_url(written)
        if why := different(first, judge_facts(settings, url, first.model)):
            raise EndpointError(
                f"{why}, so it is no replica of the judge",
                where=f"--judge-replicas {url}",
                fix="Serve the same judge there by the same engine, or leave it out",
            )
