"""A folder of links that holds exactly what vLLM is to load, and the models inside what MLflow calls a model.

MLflow's transformers flavour keeps a pipeline in parts: the weights with their config.json in `model/`, the tokenizer
in `components/tokenizer/` (in `model/` as well where a checkpoint was logged). vLLM wants both in one folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from llmgate.errors import CannotRunError
from llmgate.generate.sources.place import is_plain
from llmgate.record.disk import private_folder, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["linked", "loadable", "loaded_of", "safe_name"]

MLMODEL: Final = "MLmodel"
ADAPTER: Final = "adapter_config.json"
MOST_BYTES: Final = 5_000_000
TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "tekken.json")
COMPONENTS: Final = ("tokenizer", "processor")
"""Of a pipeline, those that vLLM reads; what both hold is the same."""


def linked(files: Mapping[str, Path], at: Path) -> Path:
    """A folder of symbolic links; one that is there already with the same links is left alone.

    Args:
        files: Where each name leads.
        at: The folder.

    Raises:
        OSError: If it cannot be made.
    """
    wanted = {name: str(target) for name, target in files.items()}
    if _links(at) == wanted:
        return at
    private_folder(at.parent)
    draft = at.with_name(f".{at.name[:40]}.{secrets.token_hex(8)}")
    try:
        for name, target in wanted.items():
            link = draft / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        if at.is_symlink() or at.is_file():
            at.unlink()
        elif at.exists():
            old = draft.with_name(f"{draft.name}.old")
            at.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        draft.rename(at)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        # Another process may have made the same one.
        if isinstance(error, OSError) and _links(at) == wanted:
            return at
        raise
    return at


def _links(folder: Path) -> dict[str, str] | None:
    """The links of a folder, None if it holds anything else or is none itself."""
    if folder.is_symlink() or not folder.is_dir():
        return None
    found = {}
    for at, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(at, name)
            if path.is_symlink():
                found[path.relative_to(folder).as_posix()] = str(path.readlink())
            elif name not in folders:
                return None
    return found


def loadable(folder: Path, *, views: Callable[[], Path], name: str, where: str | None = None) -> Path:
    """The folder that vLLM can load: the folder itself, or what lies inside of one of MLflow's models.

    Args:
        folder: A model folder.
        views: Says where a folder of links may be made, if one is needed.
        name: What that is called then: servers call a model by its folder.
        where: The place, for messages.

    Of an adapter that MLflow logged with its pipeline it is the folder that PEFT wrote.

    Raises:
        CannotRunError: If MLflow keeps there what vLLM cannot load.
        OSError: If the folder of links cannot be made.
    """
    if (folder / "config.json").is_file() or not (folder / MLMODEL).is_file():
        return folder
    where = where or str(folder)
    flavor = _flavor(folder / MLMODEL, where)
    if flavor.get("peft_adaptor"):
        return _adapter(folder, flavor["peft_adaptor"], where)
    weights = folder / str(flavor.get("model_binary"))
    if not (weights / "config.json").is_file():
        raise CannotRunError(
            "MLflow logged this model without a config.json beside its weights",
            where=where,
            fix=f"Log it with mlflow.transformers, or register the folder that vLLM loads: {folder.name}",
        )
    files = _files(weights)
    if not any(file in files for file in TOKENIZER):
        for component in COMPONENTS:
            files = _files(folder / "components" / component) | files
    if not any(file in files for file in TOKENIZER):
        raise CannotRunError(
            "MLflow logged this model without its tokenizer",
            where=where,
            fix="Log the pipeline with its tokenizer: mlflow.transformers.log_model({'model': …, 'tokenizer': …})",
        )
    key = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:40]
    return linked({file: path.resolve() for file, path in files.items()}, views() / f"{key}.view" / safe_name(name))


def loaded_of(folder: Path, *, views: Callable[[], Path]) -> Path:
    """The folder whose files a server of this model loads; the folder itself where vLLM would load none of it."""
    try:
        return loadable(folder, views=views, name="model")
    except (CannotRunError, OSError):
        return folder


def safe_name(name: str) -> str:
    """A model's name as that of a folder."""
    return re.sub(r"[^\w.-]|^\.+", "_", name)[:100] or "model"


def _flavor(path: Path, where: str) -> Mapping[str, Any]:
    """The transformers flavour of a model, if its weights lie with it."""
    try:
        content = yaml.safe_load(read_regular(path, limit=MOST_BYTES))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise CannotRunError("MLflow's MLmodel cannot be read", where=where, fix="Log the model again") from error
    flavors = content.get("flavors") if isinstance(content, dict) else None
    flavor = flavors.get("transformers") if isinstance(flavors, dict) else None
    if not isinstance(flavor, dict):
        named = ", ".join(sorted(map(str, flavors))) if isinstance(flavors, dict) and flavors else "none"
        raise CannotRunError(
            f"vLLM loads models of MLflow's transformers flavour, and this has {named[:200]}",
            where=where,
            fix="Log it with mlflow.transformers, or register the folder that vLLM loads as a plain artifact",
        )
    if flavor.get("peft_adaptor"):
        return flavor
    binary = flavor.get("model_binary")
    if not isinstance(binary, str) or not is_plain(binary):
        name, revision = flavor.get("source_model_name"), flavor.get("source_model_revision")
        there = f"hf://{name}@{revision}" if isinstance(name, str) and isinstance(revision, str) else "its own place"
        raise CannotRunError(
            "MLflow logged only where this model came from, and not its weights",
            where=where,
            fix=f"Name it there: {there[:200]}, or log it with its weights (save_pretrained)",
        )
    return flavor


def _adapter(folder: Path, inner: object, where: str) -> Path:
    """Where the files of an adapter lie."""
    if isinstance(inner, str) and is_plain(inner) and (folder / inner / ADAPTER).is_file():
        return folder / inner
    raise CannotRunError(
        f"MLflow logged a LoRA adapter without its {ADAPTER}",
        where=where,
        fix="Log it again with mlflow.transformers, or the folder that PEFT's save_pretrained wrote",
    )


def _files(folder: Path) -> dict[str, Path]:
    """The files below a folder by their names, with `/`."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
