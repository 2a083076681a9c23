"""A model folder or an endpoint → something that can be asked, with its identity; owned servers end with the block."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.client import Endpoint
from llmgate.generate.endpoint import probe
from llmgate.record.manifest import JudgeIdentity, ModelIdentity, ServerIdentity
from llmgate.report.visible import one_line
from llmgate.score.judge_identity import identify
from llmgate.session.reach.replicas import check_judges, judge_facts
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llmgate.score.assertion.models import JudgeSampling
    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings

__all__ = [
    "JudgePlace",
    "endpoint_target",
    "judge_endpoint",
    "judge_identity",
    "judge_place",
    "open_judge",
    "open_target",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePlace:
    """Where the judge is: an endpoint, a folder, or the server of the model under test."""

    folder: str | None = None
    url: str | None = None
    same_server: bool = False


@contextmanager
def open_target(settings: Settings, *, log_path: Path, progress: Progress) -> Iterator[Target]:
    """Connect to the endpoint, or start vLLM for the model folder and end it afterwards.

    Raises:
        UsageError: If neither a model nor an endpoint is named.
        ServerError: If the server does not start.
        EndpointError: If the endpoint cannot be used.
    """
    if settings.endpoint:
        yield endpoint_target(settings, progress)
        return
    if not settings.model:
        raise UsageError(
            "no model is named", fix="Give --model DIR to start vLLM, or --endpoint URL of a running server"
        )
    # A run that asks an endpoint needs nothing of what starts servers, here and below.
    from llmgate.session.reach.owned import open_own  # noqa: PLC0415

    with open_own(settings, settings.model, log_path=log_path, progress=progress) as target:
        yield target


def endpoint_target(settings: Settings, progress: Progress) -> Target:
    """The model behind an endpoint that somebody else runs."""
    url = normalise_url(settings.endpoint or "")
    progress.stage(f"connecting to {url}")
    facts = probe(url, api_key=settings.api_key, model=settings.served_name, key_place=settings.key_place)
    if facts.unconfirmed:
        name, why = one_line(facts.model, 120), one_line(facts.unconfirmed, 160)
        progress.stage(f"nothing but its own answers confirms that {name} is served: {why}")
    if facts.parent:
        name, parent, root = (one_line(text, 120) for text in (facts.model, facts.parent, facts.source or "unknown"))
        progress.stage(
            f"{name} is an adapter of {parent}, from {root}: so the endpoint says, and nothing shows its weights"
        )
    return Target(
        endpoint=Endpoint(
            url=url,
            model=facts.model,
            api_key=settings.api_key,
            names=facts.names,
            finish_reasons=settings.finish_reasons,
            key_place=settings.key_place,
        ),
        model=ModelIdentity(name=facts.model, source=facts.source or url, registry_uri=settings.registry_uri),
        server=ServerIdentity(
            engine=facts.engine,
            version=facts.version,
            owned=False,
            url=url,
            model_names=tuple(dict.fromkeys((*facts.names, *settings.reply_names))),
            deployment=settings.deployment or "",
            unconfirmed=facts.unconfirmed,
        ),
        death=lambda: None,
        parent=facts.parent,
    )


def judge_place(settings: Settings) -> JudgePlace | None:
    """Where the judge is, None if none was named."""
    if settings.judge_endpoint:
        return JudgePlace(url=normalise_url(settings.judge_endpoint))
    if settings.judge_model:
        # With adapters the base would judge in one batch with what it judges, under another name: it is started after.
        same = bool(settings.model) and not settings.adapter
        same = same and Path(settings.judge_model).resolve() == Path(settings.model or "").resolve()
        return JudgePlace(folder=settings.judge_model, same_server=same)
    return None


def judge_endpoint(settings: Settings, url: str, model: str, *, name: str = "") -> Endpoint:
    """A judge that somebody else runs, by its name if suites name it."""
    return Endpoint(
        url=url,
        model=model,
        api_key=settings.judge_api_key(url, name),
        finish_reasons=settings.judge_finish_reasons,
        key_place=settings.judge_key_place(name),
    )


def judge_identity(
    settings: Settings, place: JudgePlace, types: Collection[str], sampling: JudgeSampling
) -> JudgeIdentity:
    """The judge's identity, known before it is started.

    Two runs are comparable only if the same judge scored both, so an owned judge is named by its weights.
    """
    if place.folder:
        model = settings.judge_name or Path(place.folder).resolve().name
        from llmgate.session.reach.weights import folder_digest  # noqa: PLC0415 - see `open_target`

        digest = folder_digest(Path(place.folder))
    else:
        url = place.url or ""
        facts = judge_facts(settings, url, settings.judge_name)
        check_judges(settings, facts)
        model, digest = facts.model, None
    known = settings.fetched.get(place.folder or "")
    source = known.source if known else place.folder or place.url or ""
    return identify(model, types, sampling, source=source, weights_digest=digest)


@contextmanager
def open_judge(
    settings: Settings, place: JudgePlace, identity: JudgeIdentity, *, log_path: Path, progress: Progress
) -> Iterator[Target]:
    """Reach the judge: connect to its endpoint, or start vLLM for its folder."""
    if place.folder:
        from llmgate.session.reach.engine_flags import for_judge  # noqa: PLC0415 - see `open_target`
        from llmgate.session.reach.owned import own_server  # noqa: PLC0415

        own, name = for_judge(settings), identity.model
        # What judges has to be what was identified when the run began, which may be hours ago.
        model = ModelIdentity(name=name, source=place.folder, weights_digest=identity.weights_digest)
        with own_server(own, place.folder, name, log_path=log_path, progress=progress, identity=model) as target:
            yield target
        return
    yield Target(
        endpoint=judge_endpoint(settings, place.url or "", identity.model),
        model=ModelIdentity(name=identity.model, source=place.url or ""),
        server=ServerIdentity(engine="openai-compatible", owned=False, url=place.url or ""),
        death=lambda: None,
    )
