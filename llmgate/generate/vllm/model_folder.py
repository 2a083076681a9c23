"""Which folder a model is in, and whether vLLM can load it at all."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import ServerError
from llmgate.generate.vllm.command import flag_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_model", "hub_folder", "is_quantized", "model_folder"]

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PICKLED = ("*.bin", "*.pt", "*.pth")


def model_folder(model: str) -> Path | None:
    """The folder that `model` means, or None if it is a name that vLLM resolves.

    Args:
        model: A path, a hub name such as `org/model`, or a URL.

    Returns:
        The folder as an absolute path.

    Raises:
        ServerError: If it reads like a path and there is no such folder.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise ServerError(
            "the model must be a folder, this is a file", where=model, fix="Give the folder that holds config.json"
        )
    if "://" in model:
        return None
    # A bare name such as `bot` is far more often a mistyped folder than one of the hub's old names.
    hub_name = HUB_NAME.fullmatch(model) and not Path(Path(model).parts[0]).is_dir()
    if not hub_name and hub_folder(model) is None:
        raise ServerError(
            "there is no such model folder",
            where=model,
            fix=f"Correct the path; it was looked up from {Path.cwd()}",
        )
    return None


def check_model(folder: Path, *, flags: Sequence[str] = (), allow_pickle: bool = False) -> None:
    """Refuse a folder that vLLM would load for a while and then refuse.

    Args:
        folder: A model folder.
        flags: The flags that are passed through; one that names another format switches the matching check off.
        allow_pickle: Whether weights without safetensors are acceptable.

    Raises:
        ServerError: If config.json is missing or broken, if there are no safetensors, or if the index names files
            that are absent.
    """
    given = flag_names(flags)
    if "config-format" not in given:
        _check_config(folder)
    if "load-format" in given:
        return
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _check_index(folder, index)
    elif not any(file.is_file() for file in folder.glob("*.safetensors")):
        pickled = any(True for pattern in PICKLED for _ in folder.glob(pattern))
        if not (pickled and allow_pickle):
            raise _without_safetensors(folder, pickled=pickled)


def _check_config(folder: Path) -> None:
    config = folder / "config.json"
    if not config.is_file():
        inside = next(iter(sorted(folder.glob("*/config.json"))), None)
        fix = f"Did you mean {inside.parent}?" if inside else "Give the folder that a model was saved to"
        if (folder / "adapter_config.json").is_file():
            fix = "This is a LoRA adapter: give its base as the model, and this with --adapter NAME=DIR"
        raise ServerError("the model folder has no config.json", where=str(folder), fix=fix)
    if not isinstance(_read_json(config), dict):
        raise ServerError("it is not a JSON object", where=str(config), fix="Restore it from the model's source")


def _without_safetensors(folder: Path, *, pickled: bool) -> ServerError:
    if pickled:
        return ServerError(
            "the weights are pickled, and unpickling can run code that they hold; safetensors only",
            where=str(folder),
            fix="Save the model again with save_pretrained, or allow pickle if you trust its source",
        )
    if any(folder.glob("*.gguf")):
        return ServerError(
            "the model folder holds GGUF, and no safetensors",
            where=str(folder),
            fix="vLLM does not load GGUF itself; convert it with transformers",
        )
    return ServerError(
        "the model folder holds no *.safetensors weights",
        where=str(folder),
        fix="Was the download complete, and were large files fetched (git lfs pull)?",
    )


def _check_index(folder: Path, index: Path) -> None:
    content = _read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names:
        raise ServerError("it has no weight_map", where=str(index), fix="Restore it from the model's source")
    absent = sorted({str(name) for name in names.values()} - {path.name for path in folder.iterdir() if path.is_file()})
    if absent:
        raise ServerError(
            f"the index names {len(absent)} weights files that are absent: {', '.join(absent[:3])}"
            + (" ..." if len(absent) > 3 else ""),
            where=str(folder),
            fix="Complete the download",
        )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ServerError(
            f"it cannot be read: {error}", where=str(path), fix="Restore it from the model's source"
        ) from error


def is_quantized(folder: Path) -> bool:
    """Whether a model's weights may be quantised, which fixes the type they are computed in.

    Args:
        folder: A model folder. Without a config.json that can be read the answer is yes.
    """
    try:
        content = _read_json(folder / "config.json")
    except ServerError:
        return True
    return (
        not isinstance(content, dict) or "quantization_config" in content or (folder / "hf_quant_config.json").exists()
    )


def hub_folder(name: str, *, revision: str = "main") -> Path | None:
    """Where the hub's cache keeps a model, without asking the hub.

    Args:
        name: For example `org/model`.
        revision: Branch, tag or commit.

    Returns:
        The snapshot's folder, None if it is not there.

    Reference: the cache layout of huggingface_hub (`models--org--model/{refs,snapshots}`).
    """
    home = Path(os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface"))  # noqa: PTH111 - no home is no error
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    model = cache / f"models--{name.replace('/', '--')}"
    try:
        commit = (model / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = revision
    folder = model / "snapshots" / commit
    return folder if folder.is_dir() else None
