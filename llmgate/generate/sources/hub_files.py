"""Which files of a model on the hub vLLM loads: configuration, tokenizer, templates, safetensors. No pickles, no notes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError
from llmgate.record.weights_files import counted_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HubFile", "needed", "refuse_unloadable"]

KINDS: Final = frozenset({".json", ".jinja", ".model", ".safetensors", ".tiktoken", ".txt"})
CODE: Final = frozenset({".py"})
PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
TEMPLATES: Final = re.compile(r"(?:additional_)?chat_templates/[^/]+\.jinja")
"""Where transformers keeps templates besides the first."""
CONFIGS: Final = frozenset({"config.json", "params.json", "adapter_config.json"})
CONSOLIDATED: Final = re.compile(r"consolidated.*\.safetensors")
"""The same weights once more, as Mistral's own programs read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a commit.

    Attributes:
        path: In the repository.
        size: Bytes, None where nobody said.
        sha256: Of its bytes, "" where the hub does not say.
        git_sha1: Git's name of it, "" where the hub does not say.
    """

    path: str
    size: int | None = None
    sha256: str = ""
    git_sha1: str = ""


def needed(files: Sequence[HubFile], *, code: bool) -> tuple[HubFile, ...]:
    """The files that vLLM loads.

    Args:
        files: All files of a commit.
        code: Whether Python files are among them, which vLLM runs only with --trust-remote-code.
    """
    kinds = KINDS | CODE if code else KINDS
    counted = frozenset(counted_names([file.path for file in files]))
    chosen = [
        file
        for file in files
        if file.path in counted
        and (TEMPLATES.fullmatch(file.path) if "/" in file.path else _kind(file.path) in kinds)
        and not file.path.startswith(".")
    ]
    if any(_kind(file.path) == ".safetensors" and not CONSOLIDATED.fullmatch(file.path) for file in chosen):
        chosen = [file for file in chosen if not CONSOLIDATED.fullmatch(file.path)]
    return tuple(chosen)


def refuse_unloadable(files: Sequence[HubFile], chosen: Sequence[HubFile], where: str) -> None:
    """Refuse what vLLM would not load, before gigabytes of it are fetched.

    Raises:
        CannotRunError: If there is no configuration, or there are no safetensors.
    """
    names = {file.path for file in chosen}
    if not any(_kind(name) == ".safetensors" for name in names):
        kinds = {_kind(file.path) for file in files}
        if kinds & PICKLES:
            what, fix = (
                "the weights are pickled there, and unpickling can run code that they hold; safetensors only",
                "Name a revision with safetensors, or convert it yourself and name the folder",
            )
        elif ".gguf" in kinds:
            what, fix = "there is GGUF, and no safetensors", "vLLM does not load GGUF itself; name the original model"
        else:
            what, fix = "there are no *.safetensors weights", "Is it a model that vLLM loads?"
        raise CannotRunError(f"{what}; nothing was fetched", where=where, fix=fix)
    if not names & CONFIGS:
        raise CannotRunError(
            "there is no config.json, and nothing was fetched", where=where, fix="Is it a model that vLLM loads?"
        )


def _kind(path: str) -> str:
    return PurePosixPath(path).suffix
