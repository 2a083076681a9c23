"""Are the weights that are served, or about to be, those that a signed verdict let pass?"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.attest.check import about
from llmgate.errors import EXIT_FAIL, EXIT_PASS, CannotRunError, UsageError, WeightsError
from llmgate.generate.key_travel import check_key
from llmgate.generate.loaded_weights import compare_loaded, loaded_checksums
from llmgate.generate.sources.layout import loaded_of
from llmgate.generate.sources.local import bring_home, models_root
from llmgate.generate.sources.place import Folder, read_place
from llmgate.promote.attached import registry_facts
from llmgate.record.disk import read_regular
from llmgate.record.manifest import adapted_digest
from llmgate.record.weights import MANIFEST_NAME, differences, read_manifest
from llmgate.session.commands.verdict.for_serving import (
    VerifyQuestion,
    accepted,
    newest,
    read_verdict,
    trusted,
)
from llmgate.session.reach.weights import hash_folder, usable_cache

if TYPE_CHECKING:
    from llmgate.attest.check import Signed
    from llmgate.attest.policy import RegistryPolicy
    from llmgate.attest.statement import VerdictStatement
    from llmgate.record.weights import WeightsManifest
    from llmgate.session.progress import Progress

__all__ = ["WeightsCheck", "verify_weights"]

CHAMPION: Final = "champion"
VERSION_URI: Final = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<version>[1-9]\d*)|@(?P<alias>[^/@:]+))")
MANIFEST_BYTES: Final = 50_000_000
KEY_VARIABLE: Final = "LLMGATE_API_KEY"
MOST_LINES: Final = 50
ADAPTER: Final = "adapter_config.json"
UNCOVERED: Final = "The server says so of itself; its configuration, tokenizer, templates and adapters are not covered."


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsCheck:
    """What came of it.

    Attributes:
        verified: Whether they are the same weights.
        sentence: For a reader.
        lines: What differs, and what else to know.
    """

    verified: bool
    sentence: str
    lines: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return EXIT_PASS if self.verified else EXIT_FAIL


def verify_weights(question: VerifyQuestion, progress: Progress, *, now: datetime | None = None) -> WeightsCheck:
    """Verify a signed verdict, and that these are its weights.

    A verdict's expiry ends its power to promote, and not the right of what it promoted to be served: a server that is
    restarted at night must come back. Who wants verdicts to be fresh says so with `max_age`.

    Raises:
        AttestationError: If the verdict is refused: forged, no PASS, too old, about something else.
        CannotRunError: If something is missing or cannot be reached, so that nothing can be said.
        UsageError: If the question contradicts itself.
    """
    now = now or datetime.now(UTC)
    policy = trusted(question)
    named = question.what if question.adapter is None else question.adapter
    match = VERSION_URI.fullmatch(named)
    with ExitStack() as stack:
        if match:
            signed, files = of_version(question, match, policy, now, stack)
            folder = loaded_of(files, views=models_root)
            if question.adapter is None:
                return of_folder(folder, signed.verdict, question, progress, now)
            refuse_server_of_adapter(question)
            base = named_folder(question.what, question, progress)
            return of_folder(base, signed.verdict, question, progress, now, adapter=folder)
        if named.startswith("models:"):
            raise UsageError(
                "this names no version", where=named, fix="Write models:/NAME/VERSION or models:/NAME@alias"
            )
        signed = accepted(read_verdict(question), question, policy, now)
        if question.what.startswith(("http://", "https://")):
            refuse_server_of_adapter(question)
            return of_server(question, signed.verdict, progress, now)
        adapter = None if question.adapter is None else named_folder(question.adapter, question, progress)
        folder = named_folder(question.what, question, progress)
        return of_folder(folder, signed.verdict, question, progress, now, adapter=adapter)


def refuse_server_of_adapter(question: VerifyQuestion) -> None:
    """Refuse to look for an adapter on a server.

    Raises:
        CannotRunError: If that is asked for.
    """
    if question.adapter is not None and question.what.startswith(("http://", "https://")):
        raise CannotRunError(
            "no server shows the weights of its adapters",
            where=question.what,
            fix="Verify both before it starts: `llmgate verify BASE --adapter PLACE`",
        )


def named_folder(text: str, question: VerifyQuestion, progress: Progress) -> Path:
    """The folder that a text names, or to which the place that it names was fetched: what vLLM would load of it.

    Raises:
        UsageError: If it names no place.
        CannotRunError: If it cannot be had.
    """
    place = read_place(text)
    if isinstance(place, Folder):
        return loaded_of(Path(place.path).expanduser(), views=models_root)
    # What was hashed before proves nothing here, so neither does it where the cache is looked at.
    cache = usable_cache(os.environ, trusted=True) if question.trust_cache else None
    return bring_home(place, tracking_uri=question.mlflow_uri, code=False, cache=cache, progress=progress).folder


def of_version(
    question: VerifyQuestion, match: re.Match[str], policy: RegistryPolicy, now: datetime, stack: ExitStack
) -> tuple[Signed, Path]:
    """The verdict of a version in MLflow, and the folder of its files, which is gone when the stack ends."""
    # The registry client is an extra: only who names a version pays for it.
    from llmgate.promote.mlflow_client import resolve_uris  # noqa: PLC0415
    from llmgate.promote.mlflow_download import fetch_files  # noqa: PLC0415
    from llmgate.promote.mlflow_target import MlflowTarget  # noqa: PLC0415

    target = MlflowTarget(*resolve_uris(question.mlflow_uri, None))
    version = (
        target.version(match["name"], match["version"])
        if match["version"]
        else target.holder(match["name"], match["alias"])
    )
    if version is None:
        raise CannotRunError("no version holds this alias", where=match.string, fix="Name a version by its number")
    alias = match["alias"] or question.alias or CHAMPION
    signed = (
        accepted(read_verdict(question), question, policy, now)
        if question.verdict is not None
        else newest(version, alias, question, policy, now)
    )
    about(signed.verdict, registry_facts(version, alias, policy.registry or signed.verdict.registry.id))
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-verify-"))
    return signed, fetch_files(target, version, Path(scratch))


def of_folder(
    folder: Path,
    verdict: VerdictStatement,
    question: VerifyQuestion,
    progress: Progress,
    now: datetime,
    *,
    adapter: Path | None = None,
) -> WeightsCheck:
    """Hash a folder, and an adapter that is served on it, and hold them against the verdict."""
    what = question.what if question.weights is None else str(question.weights)
    found = hash_folder(folder, progress, trust_cache=question.trust_cache, proof=True)
    digest = found.digest
    if adapter is not None:
        own = hash_folder(adapter, progress, trust_cache=question.trust_cache, proof=True)
        what, digest = f"{what} with {question.adapter}", adapted_digest(found.digest, own.digest)
    who = passed(verdict)
    notes = remarks(verdict, found, folder, now)
    if digest == verdict.weights:
        return WeightsCheck(
            verified=True,
            sentence=f"Verified: {what} holds {who} ({len(found.files)} files, {found.size:,} bytes, "
            f"digest {digest[:12]}).",
            lines=notes,
        )
    differ = which_differ(question, verdict, found)
    if adapter is None and (folder / ADAPTER).is_file():
        differ = (f"This is an adapter alone: name its base, and this as `--adapter {question.what}`.", *differ)
    return WeightsCheck(
        verified=False,
        sentence=f"Refused: {what} does not hold {who}: its digest is {digest[:12]}, "
        f"and the verdict is about {str(verdict.weights)[:12]}.",
        lines=(*differ, *notes),
    )


def passed(verdict: VerdictStatement) -> str:
    """The weights that a verdict is about."""
    told, given = verdict.registry, f"{verdict.issued_at:%Y-%m-%d %H:%M} UTC"
    how = f"which got PASS on {given}" if verdict.kind == "gate" else f"which {verdict.by} let pass on {given}"
    return f"the weights of {told.model} version {told.version}, {how}"


def remarks(verdict: VerdictStatement, found: WeightsManifest, folder: Path, now: datetime) -> tuple[str, ...]:
    """What is no reason to refuse, and still to be known."""
    lines = []
    if verdict.kind == "override":
        lines.append(f"No gate let them pass: {verdict.by} overrode it ({verdict.reason}).")
    if now >= verdict.expires_at:
        lines.append(
            f"The verdict expired on {verdict.expires_at:%Y-%m-%d}: it promotes nothing any more. That ends no "
            "serving; give --max-age where it should."
        )
    root = folder.resolve()
    outside = [file.path for file in found.files if not (folder / file.path).resolve().is_relative_to(root)]
    if outside:
        lines.append(
            f"{len(outside)} of the files are links that lead out of the folder, such as {outside[0]}: what they lead "
            "to was hashed, and has to be read-only as well."
        )
    return tuple(lines)


def which_differ(question: VerifyQuestion, verdict: VerdictStatement, found: WeightsManifest) -> tuple[str, ...]:
    """The files that differ, as far as a manifest of what passed is there."""
    path, asked = question.manifest, question.manifest is not None
    if path is None and question.verdict is not None:
        path = question.verdict.with_name(MANIFEST_NAME)
    if path is None or not (asked or path.exists()):
        return (f"Which files differ is not known: give --manifest {MANIFEST_NAME}, which the gate run wrote.",)
    try:
        expected = read_manifest(read_regular(path, limit=MANIFEST_BYTES), where=str(path))
    except (OSError, WeightsError) as error:
        return (f"Which files differ is not known: {error}",)
    if expected.digest != verdict.weights:
        return (f"Which files differ is not known: {path} is the manifest of other weights.",)
    return cut(differences(expected, found))


def cut(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The first of many lines."""
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else (*lines[:MOST_LINES], f"… and {more:,} more")


def of_server(question: VerifyQuestion, verdict: VerdictStatement, progress: Progress, now: datetime) -> WeightsCheck:
    """Hash the folder that a server loaded, and hold the server's tensors against it.

    Raises:
        CannotRunError: If nothing shows what it holds.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key:
        check_key(question.what, KEY_VARIABLE, over_http=False)
    checksums = loaded_checksums(question.what, api_key=key)
    if question.weights is None:
        raise CannotRunError(
            "the server tells checksums of tensors, and a verdict is about files: something has to show that they "
            "belong together",
            where=question.what,
            fix="Name the folder that the server loaded: --weights FOLDER",
        )
    check = of_folder(question.weights, verdict, question, progress, now)
    if not check.verified:
        return check
    progress.stage(f"comparing the tensors of {question.weights} with those of the server")
    loaded = compare_loaded(checksums, question.weights)
    if loaded.matched and loaded.other:
        return WeightsCheck(
            verified=False,
            sentence=f"Refused: {question.what} holds other weights than {question.weights}: {len(loaded.other)} of "
            f"{len(checksums)} parameters differ.",
            lines=cut(tuple(f"{name}: other bytes" for name in loaded.other)),
        )
    doubtful = [
        *(f"{name}: other bytes" for name in loaded.other),
        *loaded.unexplained,
        *(f"{name}: not loaded" for name in loaded.unloaded),
    ]
    if doubtful:
        raise CannotRunError(
            f"{len(doubtful)} tensors cannot be compared, such as {doubtful[0]}",
            where=question.what,
            fix="vLLM shows the bytes of the files only where it neither divides, converts nor packs them. Verify the "
            "folder before the server starts: `llmgate verify FOLDER`",
        )
    return WeightsCheck(
        verified=True,
        sentence=f"Verified: {question.what} holds {passed(verdict)} ({loaded.matched} parameters, as in "
        f"{question.weights}).",
        lines=(UNCOVERED, *check.lines),
    )
