"""A signed verdict from a file, a Sigstore bundle, or the tags of a version. Nothing is verified here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmgate.attest.envelope import Envelope, parse_json, read_envelope
from llmgate.attest.statement import VerdictStatement, read_statement
from llmgate.errors import AttestationError, CannotRunError
from llmgate.promote.attached import attached_verdicts
from llmgate.promote.registries import open_registry
from llmgate.promote.target import parse_version_uri
from llmgate.record.disk import read_regular

__all__ = ["ReadVerdict", "read_bounded", "read_text", "read_verdict"]

MAX_BYTES: Final = 200_000
"""A bundle also holds a certificate and the proof of a log."""
MODELS: Final = "models:/"
BUNDLED: Final = "dsseEnvelope"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadVerdict:
    """A verdict that was read; nobody has vouched for it yet.

    Attributes:
        where: File or tag.
        text: The envelope.
        others: How many further verdicts for this alias the version has.
    """

    where: str
    text: str
    envelope: Envelope
    verdict: VerdictStatement
    others: int = 0


def read_verdict(place: str, *, alias: str, mlflow_uri: str | None) -> ReadVerdict:
    """Read a file, or the newest verdict of a registered version.

    Args:
        place: A path, or `models:/NAME/VERSION`.
        alias: For a version: which alias the verdict is for.
        mlflow_uri: For a version.

    Raises:
        AttestationError: If it is no verdict, or the version has none.
        CannotRunError: If the file cannot be read or MLflow not be reached.
    """
    if place.startswith(MODELS):
        name, number = parse_version_uri(place)
        attached = attached_verdicts(open_registry(mlflow_uri).version(name, number), alias)
        if not attached:
            raise AttestationError(
                f"this version has no signed verdict for the alias {alias!r}", where=place, fix="Run the gate on it"
            )
        newest = attached[0]
        envelope = read_envelope(newest.text)
        return ReadVerdict(
            where=f"{place}, tag {newest.key}",
            text=newest.text,
            envelope=envelope,
            verdict=newest.verdict,
            others=len(attached) - 1,
        )
    text = read_bounded(Path(place))
    try:
        return read_text(text, where=place)
    except AttestationError as error:
        where = f"{place}: {error.where}" if error.where else place
        raise AttestationError(error.what, where=where, fix=error.fix) from error


def read_text(text: str, *, where: str) -> ReadVerdict:
    """Read an envelope, or the one in a Sigstore bundle; nothing is verified.

    Raises:
        AttestationError: If it is neither, or of something else.
    """
    if BUNDLED in text:
        values = parse_json(text, "the bundle")
        if isinstance(values, dict) and BUNDLED in values:
            text = json.dumps(values[BUNDLED], separators=(",", ":"))
    envelope = read_envelope(text)
    verdict = read_statement(envelope.payload, envelope.digest)
    return ReadVerdict(where=where, text=text, envelope=envelope, verdict=verdict)


def read_bounded(path: Path) -> str:
    """The text of a file of bounded size.

    Raises:
        CannotRunError: If it cannot be read.
    """
    try:
        return read_regular(path, limit=MAX_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CannotRunError(f"cannot be read ({reason})", where=str(path), fix="Name a verdict.dsse.json") from error
