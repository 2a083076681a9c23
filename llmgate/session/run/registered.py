"""The registry's side of a run, before anything is asked: can it be logged, and does it judge the version it names?"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, UsageError
from llmgate.promote.alias import CHAMPION
from llmgate.record.policy import Binding

if TYPE_CHECKING:
    from llmgate.promote.target import Registry, VersionFacts  # noqa: TC004 - read by no pydantic; see `look_up`
    from llmgate.record.manifest import ModelIdentity
    from llmgate.session.settings.typed import Settings

__all__ = ["Registered", "look_up"]

MODEL_NAME: Final = re.compile(r"[^/@:]+")


def fetched_version(settings: Settings, model: ModelIdentity) -> str | None:
    """The registered version whose files a model is, or the adapter that it is; None if it was not named by one."""
    place = settings.adapter.get(model.name, settings.model or "")
    known = settings.fetched.get(place)
    return known.registry_uri if known is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What the registry says before a run.

    Attributes:
        registry: Where the run will be logged, None if nowhere.
        version: The version that it names, None if it names none or there is no registry to ask.
    """

    registry: Registry | None = None
    version: VersionFacts | None = None

    def bind(self, settings: Settings, model: ModelIdentity) -> ModelIdentity:
        """The model that was opened, with what ties it to the version that the run names.

        Raises:
            UsageError: If its weights are others than the version's, or it cannot be registered.
        """
        if self.registry is not None:
            from llmgate.session.decide.publish import new_version  # noqa: PLC0415 - see `look_up`

            self.registry.check(new_version(settings, model) if settings.mlflow_model else None)
        if model.registry_uri is None:
            return model
        from llmgate.promote import tags  # noqa: PLC0415 - see `look_up`

        from_it = fetched_version(settings, model) == model.registry_uri
        known = None
        if self.version is not None:
            known = self.version.tags.get(tags.WEIGHTS_DIGEST) if from_it else version_digest(self.version)
        if model.weights_digest is None or (known is None and not from_it):
            return replace(model, binding=Binding.CLAIMED)
        if known is None:
            # Its own files were fetched, and they are what is served.
            return replace(model, binding=Binding.WEIGHTS)
        if not model.held_by(known):
            raise UsageError(
                f"the weights in {model.source} are not those of {model.registry_uri}",
                where="--registry-uri",
                fix="Name the version that was made of them, or register them: --mlflow-model NAME",
            )
        return replace(model, binding=Binding.WEIGHTS)


def version_digest(version: VersionFacts) -> str | None:
    """The digest of a registered version's weights, None if nothing tells it."""
    from llmgate.promote import tags  # noqa: PLC0415 - see `look_up`
    from llmgate.session.decide.promote import source_digest  # noqa: PLC0415

    return source_digest(version.source) or version.tags.get(tags.WEIGHTS_DIGEST)


def look_up(settings: Settings) -> Registered:
    """Refuse a registry, version or name that cannot be, before a server is started for nothing.

    Raises:
        UsageError: If they contradict each other or cannot be.
        CannotRunError: If the registry cannot be reached, or there is no such version.
    """
    named = (settings.registry_uri, settings.mlflow_model, settings.mlflow_uri)
    signed = (settings.signing_key, settings.registry_id)
    if all(given is None for given in (*named, *signed)) and settings.alias == CHAMPION:
        return Registered()
    # Registries and signatures: only who names one of them pays for what reads keys and asks servers.
    from llmgate.promote.registries import open_registry  # noqa: PLC0415
    from llmgate.promote.target import parse_version_uri  # noqa: PLC0415
    from llmgate.session.decide.attestation import check_signing  # noqa: PLC0415

    if settings.registry_uri is not None:
        parse_version_uri(settings.registry_uri)
        if settings.mlflow_model is not None:
            raise UsageError(
                f"the run judges {settings.registry_uri} and cannot stand for a new version of {settings.mlflow_model}",
                where="--mlflow-model",
                fix="Leave out --registry-uri or --mlflow-model",
            )
    if settings.mlflow_model is not None and not MODEL_NAME.fullmatch(settings.mlflow_model):
        raise UsageError(
            f"{settings.mlflow_model!r} cannot be the name of a model",
            where="--mlflow-model",
            fix="Leave out '/', ':' and '@', for example support-bot",
        )
    check_signing(settings)
    if not settings.mlflow_uri:
        if settings.mlflow_model is not None:
            raise UsageError("no server is named to register it at", where="--mlflow-model", fix="Add --mlflow-uri")
        return Registered()
    registry = open_registry(settings.mlflow_uri, experiment=settings.mlflow_experiment, create=True)
    version = registry.version(*parse_version_uri(settings.registry_uri)) if settings.registry_uri else None
    if version is not None and not version.ready:
        raise CannotRunError("the registry has not finished creating this version", where=version.uri, fix="Wait")
    return Registered(registry=registry, version=version)
