"""The model that a server of ours would load: are its files whole, and do they fit?"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import LlmgateError
from llmgate.generate.vllm import model_folder as folders
from llmgate.generate.vllm.checks import gpus_wanted
from llmgate.generate.vllm.flags import read_flags
from llmgate.generate.vllm.gpus import find_gpus
from llmgate.record.disk import read_regular
from llmgate.session.commands.doctor.diagnosis import Diagnosis, Health, gigabytes, problem
from llmgate.session.commands.doctor.machine import available_memory
from llmgate.session.reach.engine_flags import engine_flags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmgate.session.commands.doctor.diagnosis import Circumstances
    from llmgate.session.settings.typed import Settings

__all__ = ["check_model", "safetensors_problem"]

TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "tiktoken.model")
LONGEST_HEADER: Final = 100_000_000
"""As the format has it: github.com/huggingface/safetensors, `MAX_HEADER_SIZE`."""
LFS: Final = b"version https://git-lfs"
MOST_JSON: Final = 50_000_000
ROOM: Final = 1.2
"""Weights, and what computing with them takes besides; the cache of keys and values comes on top."""


def check_model(here: Circumstances) -> Iterator[Diagnosis]:
    """Are the files of --model whole, can it chat, and does it fit into memory?"""
    settings = here.server_settings()
    if settings is None:
        return
    if not settings.model:
        yield Diagnosis(area="model", what="none is named", advice="Add --model DIR to look at one")
        return
    folder = folders.model_folder(settings.model) if "://" not in settings.model else None
    folder = folder or folders.hub_folder(settings.model)
    if folder is None:
        yield Diagnosis(
            area="model",
            what=f"{settings.model} is not on this machine yet",
            health=Health.NOTE,
            advice="It is fetched before it is served",
        )
        return
    flags = engine_flags(settings)
    try:
        folders.check_model(folder, flags=flags)
    except LlmgateError as error:
        yield problem("model", error)
        return
    shards = sorted(folder.glob("*.safetensors"))
    for shard in shards:
        why = safetensors_problem(shard)
        if why:
            yield Diagnosis(
                area="model", what=f"{shard}: {why}", health=Health.PROBLEM, advice="Copy or download it again"
            )
    size = sum(shard.stat().st_size for shard in shards)
    config = _json(folder / "config.json")
    names = config.get("architectures")
    architecture = f"{names[0]}, " if isinstance(names, list) and names and isinstance(names[0], str) else ""
    files = f"{len(shards)} safetensors file{'' if len(shards) == 1 else 's'}"
    yield Diagnosis(area="model", what=f"{folder.name}: {architecture}{files}, {gigabytes(size)}")
    yield from _tokenizer(folder, settings)
    yield from _fits(size, flags)


def _tokenizer(folder: Path, settings: Settings) -> Iterator[Diagnosis]:
    given = {flag.name for flag in read_flags(engine_flags(settings))}
    if "tokenizer" not in given and not any((folder / name).is_file() for name in TOKENIZERS):
        yield Diagnosis(
            area="model",
            what="it has no tokenizer that is known here",
            health=Health.WARNING,
            advice="Put tokenizer.json and tokenizer_config.json beside config.json, or pass --tokenizer",
        )
    elif not ({"tokenizer", "chat-template"} & given or _has_template(folder)):
        yield Diagnosis(
            area="model",
            what="it has no chat template, so vLLM refuses questions in the form of a chat",
            health=Health.WARNING,
            advice="Name one: --chat-template FILE",
        )


def _has_template(folder: Path) -> bool:
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json", "tekken.json")):
        return True
    return (folder / "additional_chat_templates").is_dir() or bool(
        _json(folder / "tokenizer_config.json").get("chat_template")
    )


def _fits(size: int, flags: tuple[str, ...]) -> Iterator[Diagnosis]:
    """Does it fit into the GPUs that it is spread over, or into the machine's memory where there are none?"""
    gpus = find_gpus().gpus
    parts = max(1, gpus_wanted(flags, elsewhere=True) or 1)
    if gpus and all(gpu.total for gpu in gpus):
        # Copies of the model share nothing, so what counts is what one GPU holds of one of them.
        copies = next((flag.value for flag in read_flags(flags) if flag.name == "data-parallel-size"), "1")
        share = size / max(1, parts // (int(copies) if copies.isdecimal() and int(copies) else 1))
        room, place = min(gpu.free for gpu in gpus), "of a GPU"
        advice = "Spread it with --tensor-parallel-size, quantise it, or free the GPUs"
    else:
        free = available_memory()
        if free is None:
            return
        share, room, place, advice = size, free, "of the machine", "Free some memory, or take a smaller model"
    if share * ROOM > room:
        yield Diagnosis(
            area="model",
            what=f"its weights take {gigabytes(share)}, and {gigabytes(room)} of memory {place} are free",
            health=Health.PROBLEM if share > room else Health.WARNING,
            advice=advice,
        )
    else:
        yield Diagnosis(area="model", what=f"it fits: {gigabytes(room)} of memory {place} are free")


def safetensors_problem(path: Path) -> str:
    """Why a weights file cannot be loaded, as its header and its size tell; "" if nothing is wrong.

    Args:
        path: The file; only its header is read.

    Reference: the format in the README of github.com/huggingface/safetensors.
    """
    try:
        size = path.stat().st_size
        first = read_regular(path, at_most=max(8, len(LFS)))
        if first.startswith(LFS):
            return "it is a pointer of git lfs, and not the weights (git lfs pull)"
        length = struct.unpack("<Q", first[:8])[0] if len(first) >= 8 else LONGEST_HEADER + 1
        if length > min(LONGEST_HEADER, size - 8):
            return "it is no safetensors file, or is cut off in its header"
        header = json.loads(read_regular(path, at_most=8 + length)[8:])
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        whole = 8 + length + max(ends, default=0)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "its header cannot be read"
    return f"it has {size:,} bytes of {whole:,}" if size != whole else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path, limit=MOST_JSON))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
