"""The files that flags name and that shape what the model says: by their content in the record, and held still.

A path says nothing of what lay there. So the record has the digest of a chat template, of a draft model, of a tokenizer
in place of its path: two runs with different templates at one path differ, and two with the same one at two paths do
not. What vLLM then reads has to be what was digested. A template is small: vLLM is given a copy, made from the very
bytes that were digested, so whatever happens to the original during the run shapes nothing. Folders are too large for
that: they are looked at again once the server is ready, and a change ends it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import yaml

from llmgate.errors import ServerError, UsageError
from llmgate.generate.vllm.chat_template import read_template
from llmgate.generate.vllm.flags import Flag, meant, read_flags
from llmgate.record.disk import read_regular, write_atomic
from llmgate.record.weights import WeightsManifest
from llmgate.record.weights_files import WEIGHTS, counted_files
from llmgate.record.weights_hashing import hash_files

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DIGEST", "FILE_FLAGS", "HeldFile", "Shaped", "check_unchanged", "content_digest", "shape"]

DIGEST: Final = "sha256:"
"""What stands before a digest in the record."""
TEMPLATE: Final = "chat-template"
SPECULATIVE: Final = "speculative-config"
CONFIG: Final = "config"
FILES: Final = frozenset({TEMPLATE, "tool-parser-plugin", "reasoning-parser-plugin"})
MODELS: Final = frozenset({"spec-model"})
"""Folders of which the weights count."""
SETTINGS: Final = frozenset({"tokenizer", "hf-config-path", "generation-config"})
"""Folders of which anything but the weights counts."""
FILE_FLAGS: Final = FILES | MODELS | SETTINGS | {SPECULATIVE, CONFIG}
WORDS: Final = frozenset({"auto", "vllm"})
"""Values of `--generation-config` that are no folders."""
MOST_BYTES: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A file or folder that vLLM reads by itself, and how it was when it was digested.

    Attributes:
        flag: Which names it.
        path: Where it is.
        weights: Whether weights in it count.
        stamp: What would differ if somebody wrote to it: sizes, times of change, file numbers.
    """

    flag: str
    path: Path
    weights: bool = False
    stamp: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """Flags as vLLM gets them, and as the record shows them.

    Attributes:
        flags: For vLLM.
        recorded: For the record.
        template: Where the copy of a chat template is, if there is one.
        held: What has to stay as it is until vLLM has read it.
    """

    flags: tuple[str, ...]
    recorded: tuple[str, ...]
    template: Path
    held: tuple[HeldFile, ...] = ()


def shape(flags: Sequence[str], *, template: Path) -> Shaped:
    """Digest what flags name, and have the chat template kept.

    Args:
        flags: As a user gives them.
        template: Where a copy of a chat template goes, that nobody else writes to; the name gets a part of its digest.

    Raises:
        UsageError: If a file cannot be read.
        RecordError: If the copy cannot be written.
        WeightsError: If a folder cannot be digested.
    """
    read = read_flags(flags)
    before = len(flags) - sum(len(flag.text) for flag in read)
    given, recorded = list(flags[:before]), list(flags[:before])
    held: list[HeldFile] = []
    kept = template
    for flag in read:
        name = meant(flag.name, FILE_FLAGS)
        text = flag.text
        if name == TEMPLATE and (path := _there(flag.value)) is not None:
            data = read_template(path, where="--chat-template")
            digest = digest_of(data)
            # Under a name of its own: who goes on with a run must not find another template in its folder.
            kept = template.with_name(f"{template.stem}-{digest.removeprefix(DIGEST)[:8]}{template.suffix}")
            write_atomic(kept, data)
            text = ("--chat-template", str(kept.absolute()))
            recorded += ["--chat-template", digest]
        elif (said := _recorded(name, flag, held)) is not None:
            recorded += [f"--{name}{'.' if flag.key else ''}{flag.key}", said]
        else:
            recorded += flag.text
        given += text
    return Shaped(flags=tuple(given), recorded=tuple(recorded), template=kept, held=tuple(held))


def _recorded(name: str, flag: Flag, held: list[HeldFile]) -> str | None:
    """What the record shows as a flag's value, None for the flag as it was given."""
    if name == SPECULATIVE and not flag.key:
        return _speculative(flag.value, held)
    if flag.key:
        if name != SPECULATIVE or flag.key != "model":
            return None
        name = "spec-model"
    if name == CONFIG:
        return _config_file(Path(flag.value), held)
    return _content(name, flag.value, held)


def _content(name: str, value: str, held: list[HeldFile]) -> str | None:
    path = _there(value)
    if name not in FILE_FLAGS or path is None or (name == "generation-config" and value in WORDS):
        return None
    weights = name in MODELS
    held.append(HeldFile(flag=f"--{name}", path=path, weights=weights, stamp=_stamp(path, weights=weights)))
    return content_digest(name, path)


def _speculative(value: str, held: list[HeldFile]) -> str | None:
    """The JSON with its draft model by its weights; None if it names no folder."""
    try:
        content = json.loads(value)
    except ValueError:
        return None  # vLLM says what is wrong with it
    if not isinstance(content, dict) or not isinstance(content.get("model"), str):
        return None
    digest = _content("spec-model", content["model"], held)
    return None if digest is None else json.dumps({**content, "model": digest}, sort_keys=True)


def _config_file(path: Path, held: list[HeldFile]) -> str:
    """The digest of what a `--config` file says, files among it by their content."""
    try:
        content = yaml.safe_load(read_regular(path, limit=MOST_BYTES))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}", where="--config", fix="Correct the file") from error
    held.append(HeldFile(flag="--config", path=path, stamp=_stamp(path, weights=False)))
    if not isinstance(content, Mapping):
        content = {"": content}
    said = {}
    for key, value in content.items():
        name = str(key).replace("_", "-")
        text = json.dumps(value) if isinstance(value, Mapping) else value
        readable = isinstance(text, str) and name != CONFIG
        found = _recorded(name, Flag(name=name, values=(text,)), held) if readable else None
        said[name] = value if found is None else found
    return digest_of(json.dumps(said, sort_keys=True, default=str).encode())


def _there(value: str) -> Path | None:
    try:
        path = Path(value)
        return path if value and path.exists() else None
    except (OSError, ValueError):
        return None


def digest_of(data: bytes) -> str:
    """As it stands in a record."""
    return f"{DIGEST}{hashlib.sha256(data).hexdigest()}"


def content_digest(name: str, path: Path) -> str:
    """What a record shows of a file or folder in place of its path.

    Args:
        name: The flag that names it.
        path: What it names.

    Raises:
        UsageError: If a file cannot be read.
        WeightsError: If a folder cannot be digested.
    """
    try:
        if not path.is_dir():
            return digest_of(read_regular(path, limit=MOST_BYTES))
        names = _counted(path, weights=name in MODELS)
        hashed = hash_files(path, names)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}", where=f"--{name}", fix="Correct the path"
        ) from error
    # The digest of a model folder is the one that it has as a model.
    manifest = WeightsManifest.of({each: (one.size, one.sha256) for each, one in zip(names, hashed, strict=True)})
    return f"{DIGEST}{manifest.digest}"


def _counted(folder: Path, *, weights: bool) -> tuple[str, ...]:
    names = counted_files(folder)
    return names if weights else tuple(name for name in names if PurePosixPath(name).suffix not in WEIGHTS)


def _stamp(path: Path, *, weights: bool) -> tuple[tuple[str, int, int, int], ...]:
    try:
        names = _counted(path, weights=weights) if path.is_dir() else ("",)
        states = [(name, (path / name if name else path).stat()) for name in names]
    except OSError:
        return ()
    return tuple((name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in states)


def check_unchanged(held: Sequence[HeldFile]) -> None:
    """Refuse a server that may have read something else than was digested.

    Args:
        held: What flags name.

    Raises:
        ServerError: If one of them was written to meanwhile.
    """
    for one in held:
        if _stamp(one.path, weights=one.weights) == one.stamp:
            continue
        raise ServerError(
            f"{one.path} was changed while the server started, so what it has read is not known",
            where=one.flag,
            fix="Start again when nothing writes to it",
        )
