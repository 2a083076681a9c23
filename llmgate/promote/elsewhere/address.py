"""How a version in another registry is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmgate.errors import UsageError, did_you_mean

__all__ = ["FORMS", "Address", "is_elsewhere", "parse_address"]

FORMS: Mapping[str, str] = {
    "sagemaker": "sagemaker://REGION/GROUP/VERSION",
    "databricks-uc": "databricks-uc://CATALOG.SCHEMA.MODEL/VERSION",
    "vertex": "vertex://PROJECT/LOCATION/MODEL/VERSION",
    "wandb": "wandb://ENTITY/REGISTRY/COLLECTION/vVERSION",
    "hf": "hf://ORG/MODEL@REVISION",
}
"""By scheme, the form of an address."""
NAME = r"[^/@?#\s\x00-\x1f\x7f]+"
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "sagemaker": re.compile(
        r"(?P<region>[a-z0-9-]{5,32})/(?P<model>[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})/(?P<version>[1-9]\d*)"
    ),
    # A part of a name in backquotes is SQL's way of writing it; the REST API knows none.
    "databricks-uc": re.compile(r"(?P<model>[^/.@?#\s`]+\.[^/.@?#\s`]+\.[^/.@?#\s`]+)/(?P<version>[1-9]\d*)"),
    "vertex": re.compile(
        r"(?P<project>[a-z0-9][a-z0-9:.-]{2,62})/(?P<location>[a-z0-9-]{4,32})/(?P<model>[a-zA-Z0-9_-]{1,63})"
        r"/(?P<version>[1-9]\d*)"
    ),
    "wandb": re.compile(rf"(?P<entity>{NAME})/(?P<registry>{NAME})/(?P<model>[^/@?#:\s]+)/(?P<version>v\d+)"),
    "hf": re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@(?P<version>[A-Za-z0-9][\w./-]*)", re.ASCII),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One version in one registry.

    Attributes:
        scheme: Which kind of registry.
        place: Where in it, by the words of `FORMS` in lower case: `region`, `project`, `location`, …
        model: The model there.
        version: The version there.
    """

    scheme: str
    place: Mapping[str, str]
    model: str
    version: str


def is_elsewhere(uri: str) -> bool:
    """Whether the URI names one of these registries."""
    return uri.partition("://")[0].casefold() in FORMS and "://" in uri


def parse_address(uri: str) -> Address:
    """Take a URI apart.

    Raises:
        UsageError: If it does not name exactly one version of one of these registries.
    """
    scheme, found, rest = uri.partition("://")
    form = FORMS.get(scheme)
    if not found or form is None:
        raise UsageError("no registry is called by such a scheme", where=uri, fix=did_you_mean(scheme, FORMS))
    match = PATTERNS[scheme].fullmatch(rest)
    if match is None:
        raise UsageError(
            "a verdict belongs to exactly one version, and this does not name one", where=uri, fix=f"Write {form}"
        )
    parts = match.groupdict()
    model, version = parts.pop("model"), parts.pop("version")
    return Address(scheme=scheme, place=parts, model=model, version=version)
