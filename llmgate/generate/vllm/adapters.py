"""LoRA adapters beside their base on a server of ours: what can be known before it starts, and the flags.

vLLM keeps adapters in slots. Where every slot is taken, requests to the base that share a batch with requests to an
adapter are silently computed with the weights in the last slot (vLLM 0.32 on the CPU; its pull requests 48421 and 49656
are about it). So there is always a slot more than there are adapters; `adapter_probe` holds the answers against it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import ServerError, UsageError
from llmgate.generate.vllm.command import flag_names
from llmgate.generate.vllm.tensor_shapes import Shape, folder_shapes, tensor_shapes
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "RANKS",
    "Adapter",
    "adapter_flags",
    "check_lora_flags",
    "named_digests",
    "read_adapter",
    "without_adapters",
]

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
PICKLED: Final = ("adapter_model.bin", "adapter_model.pt")
RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` may be. Reference: `MaxLoRARanks` in vLLM's config/lora.py (0.32)."""
CONFIG_BYTES: Final = 10_000_000
SPARE: Final = 1
OURS: Final = frozenset({"enable-lora", "lora-modules", "max-loras", "max-lora-rank", "max-cpu-loras"})
VALUED: Final = OURS - {"enable-lora"}
HARMLESS_INITS: Final = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
HEADS: Final = frozenset({"classifier", "score"})
PART: Final = re.compile(
    r"(?P<module>.+?)\.(?:lora_(?P<side>[AB])\.weight|lora_embedding_(?P<embedding>[AB])|base_layer\.weight)"
)
FROM_LAYERS: Final = re.compile(r"(?:^|\.)(layers\.\d+\..+)$")
RESAVE: Final = "Train or convert it to a plain LoRA adapter, or merge it into its base and gate that with --model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter that vLLM can load on its base.

    Attributes:
        name: What requests call it.
        folder: Where it lies, an absolute path.
        rank: The largest of its modules'.
        warnings: What speaks against it and does not forbid it.
    """

    name: str
    folder: Path
    rank: int
    warnings: tuple[str, ...] = ()


def read_adapter(name: str, folder: Path, *, base: Path | None = None) -> Adapter:
    """Refuse an adapter that vLLM would refuse after a while, or load in part.

    vLLM leaves out without a word what has no place in its model: layers that the base does not have, and embeddings
    that are saved along. Such an adapter would be measured as something that was never trained.

    Args:
        name: What requests will call it.
        folder: What PEFT's `save_pretrained` wrote.
        base: The folder of the model that it is served on; None if there is none.

    Raises:
        ServerError: With what is wrong, and how to mend it.
    """
    if not folder.is_dir():
        raise ServerError("there is no such folder", where=_where(name, folder), fix="Give the adapter's folder")
    config = _config(name, folder)
    _check_kind(name, folder, config)
    rank = _rank(folder, config)
    if not (folder / WEIGHTS).is_file():
        raise _without_weights(name, folder)
    shapes = tensor_shapes(folder / WEIGHTS)
    parts = _parts(name, folder, shapes, config)
    _check_ranks(name, folder, parts, rank)
    warnings: list[str] = []
    if base is not None:
        warnings += _check_fit(name, folder, parts, folder_shapes(base), base)
        warnings += _named_base(name, config, base)
    return Adapter(name=name, folder=folder.resolve(), rank=rank, warnings=tuple(warnings))


def adapter_flags(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """The flags by which vLLM serves adapters, with a slot to spare; none without adapters.

    Raises:
        ServerError: If vLLM has no room for their rank.
    """
    if not adapters:
        return ()
    rank = max(adapter.rank for adapter in adapters)
    room = next((each for each in RANKS if each >= rank), None)
    if room is None:
        name = next(adapter.name for adapter in adapters if adapter.rank == rank)
        raise ServerError(
            f"its rank is {rank}, and vLLM serves adapters up to {RANKS[-1]}", where=f"--adapter {name}", fix=RESAVE
        )
    entries = [json.dumps({"name": adapter.name, "path": str(adapter.folder)}) for adapter in adapters]
    slots = len(adapters) + SPARE
    return ("--enable-lora", "--max-loras", str(slots), "--max-lora-rank", str(room), "--lora-modules", *entries)


def check_lora_flags(flags: Sequence[str], *, adapters: bool = False, further: frozenset[str] = frozenset()) -> None:
    """Refuse flags of the user's that say otherwise than `--adapter` what adapters there are.

    Args:
        flags: What is passed through.
        adapters: Whether adapters are named.
        further: Names of flags that stand in a file.

    Raises:
        UsageError: About the first of them.
    """
    mine = OURS if adapters else frozenset({"lora-modules"})
    for name in sorted(flag_names(flags) | further):
        if any(name == own or (name.startswith(("lora-", "max-l", "max-c")) and own.startswith(name)) for own in mine):
            raise UsageError(
                f"--{name} cannot be passed through: llmgate must know every adapter, and leaves vLLM a slot to spare",
                where="--server-args",
                fix='Name adapters with --adapter "NAME=DIR ..." instead',
            )


def named_digests(flags: Sequence[str], digests: Mapping[str, str]) -> tuple[str, ...]:
    """The flags as they are recorded: adapters by what they hold, instead of where they lie.

    Args:
        flags: Of the server.
        digests: Of the adapters, by their names.
    """
    return tuple(f"{name}=sha256:{digests[name]}" if (name := _entry_name(flag)) in digests else flag for flag in flags)


def without_adapters(flags: Sequence[str]) -> tuple[str, ...]:
    """A server's flags without those that `adapter_flags` gave it: a record's become those of a server of the base."""
    kept: list[str] = []
    skipping = False
    for flag in flags:
        if flag.startswith("-"):
            name = next(iter(flag_names([flag])), "")
            skipping = name in VALUED and "=" not in flag
            if name in OURS:
                continue
        elif skipping:
            continue
        kept.append(flag)
    return tuple(kept)


def _entry_name(flag: str) -> str:
    if not flag.startswith("{"):
        return ""
    try:
        entry = json.loads(flag)
    except ValueError:
        return ""
    return str(entry.get("name", "")) if isinstance(entry, dict) and set(entry) == {"name", "path"} else ""


def _where(name: str, folder: Path) -> str:
    return f"--adapter {name}={folder}"


def _config(name: str, folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        inside = next(iter(sorted(folder.glob(f"*/{CONFIG}"))), None)
        fix = f"Did you mean {inside.parent}?" if inside else "Give the folder that PEFT's save_pretrained wrote"
        if (folder / "config.json").is_file():
            fix = "This is a whole model and no adapter: name it with --model"
        raise ServerError(f"the folder has no {CONFIG}", where=_where(name, folder), fix=fix)
    try:
        config: Any = json.loads(read_regular(path, limit=CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ServerError(f"it cannot be read: {error!s:.200}", where=str(path), fix="Restore it") from error
    if not isinstance(config, dict):
        raise ServerError("it is not a JSON object", where=str(path), fix="Restore it")
    return config


def _check_kind(name: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse what vLLM does not serve, or serves as something else than PEFT does.

    Reference: `PEFTHelper._validate_features` and `validate_legal` in vLLM's lora/peft_helper.py (0.32).
    """
    for problem in _unserved(config):
        raise ServerError(f"vLLM does not serve it: {problem}", where=_where(name, folder), fix=RESAVE)


def _unserved(config: Mapping[str, Any]) -> Iterator[str]:
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        yield f"it is of type {kind!s:.40}, and not LORA"
    saved = config.get("modules_to_save") or ()
    if set(map(str, saved)) - HEADS:
        yield f"it replaces modules whole (modules_to_save: {', '.join(map(str, saved))[:100]})"
    for key, what in (
        ("use_dora", "it is a DoRA adapter"),
        ("lora_bias", "it has biases (lora_bias)"),
        ("alora_invocation_tokens", "it is an activated LoRA"),
        ("layer_replication", "it replicates layers"),
        ("use_bdlora", "it is a block-diagonal LoRA"),
        ("use_qalora", "it is a QALoRA adapter"),
        ("trainable_token_indices", "it retrains single tokens (trainable_token_indices)"),
    ):
        if config.get(key):
            yield what
    if config.get("bias", "none") != "none":
        yield f"it trains biases (bias: {config['bias']!s:.40})"
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in HARMLESS_INITS:
        yield f"its initialisation changed the base's weights (init_lora_weights: {init[:40]})"


def _rank(folder: Path, config: Mapping[str, Any]) -> int:
    """The largest rank that the configuration allows a module."""
    path, patterns = folder / CONFIG, config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(patterns.values() if isinstance(patterns, dict) else [None])]
    if not all(isinstance(rank, int) and not isinstance(rank, bool) and rank > 0 for rank in ranks):
        raise ServerError("its rank `r` is no whole number above 0", where=str(path), fix="Restore it")
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise ServerError("it has no number `lora_alpha`", where=str(path), fix="Restore it")
    if not config.get("target_modules"):
        raise ServerError("it names no target_modules", where=str(path), fix="Restore it")
    return max(rank for rank in ranks if isinstance(rank, int))


def _without_weights(name: str, folder: Path) -> ServerError:
    where = _where(name, folder)
    if any((folder / each).is_file() for each in PICKLED):
        return ServerError(
            "the weights are pickled, and unpickling can run code that they hold; safetensors only",
            where=where,
            fix="Save the adapter again with PEFT's save_pretrained, which writes safetensors",
        )
    return ServerError(f"the folder has no {WEIGHTS}", where=where, fix="Was the download complete (git lfs pull)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    """What an adapter says of one module of its base."""

    a: Shape = ()
    b: Shape = ()
    whole: Shape = ()
    embedding: bool = False

    @property
    def changed(self) -> Shape:
        """The shape of the weights that it changes."""
        return (self.a[1], self.b[0]) if self.embedding else (self.b[0], self.a[1])


def _parts(name: str, folder: Path, shapes: Mapping[str, Shape], config: Mapping[str, Any]) -> dict[str, _Module]:
    heads = {str(each) for each in config.get("modules_to_save") or ()}
    found: dict[str, dict[str, Any]] = {}
    for tensor, shape in shapes.items():
        match = PART.fullmatch(tensor)
        if match is None:
            if heads & set(tensor.split(".")):
                continue
            raise ServerError(
                f"vLLM does not serve it: it holds {tensor[:120]!r}, which is no part of a LoRA",
                where=_where(name, folder),
                fix=RESAVE,
            )
        module = found.setdefault(match["module"].removeprefix("base_model.model."), {})
        side = match["side"] or match["embedding"]
        module[side.lower() if side else "whole"] = shape
        module["embedding"] = module.get("embedding", False) or match["embedding"] is not None
    parts = {module: _Module(**given) for module, given in found.items()}
    if not any(part.a for part in parts.values()):
        raise ServerError("it changes no module at all", where=_where(name, folder), fix="Train it, and save it again")
    for changed, part in parts.items():
        if bool(part.a) != bool(part.b):
            raise ServerError(
                f"half of what it changes in {changed} is missing", where=_where(name, folder), fix="Save it again"
            )
    return parts


def _check_ranks(name: str, folder: Path, parts: Mapping[str, _Module], rank: int) -> None:
    for module, part in parts.items():
        if part.a and (len(part.a) < 2 or len(part.b) < 2 or part.a[0] != part.b[1] or part.a[0] > rank):
            if ".experts" in module:
                continue  # Stacked in one tensor for all experts.
            raise ServerError(
                f"its weights for {module} are {part.a} and {part.b}, which is no rank up to {rank}",
                where=_where(name, folder),
                fix=f"Do {CONFIG} and {WEIGHTS} belong together?",
            )


def _check_fit(
    name: str, folder: Path, parts: Mapping[str, _Module], base: Mapping[str, Shape], where: Path
) -> Iterator[str]:
    """Hold the adapter's modules against the tensors of its base.

    Yields:
        What cannot be told.

    Raises:
        ServerError: If it changes modules that the base does not have, or that have other shapes there.
    """
    if not base:
        return
    by_layer = {_tail(tensor.removesuffix(".weight")): shape for tensor, shape in base.items()}
    modules = {tail.rpartition(".")[0] for tail in by_layer} | set(by_layer)
    misfits = []
    for module, part in sorted(parts.items()):
        tail = _tail(module)
        shape = by_layer.get(tail, ())
        if part.whole:
            yield f"vLLM takes no notice of the weights of {module} that the adapter brings along"
            if shape and part.whole != shape:
                misfits.append(f"{module} of {part.whole}, which has {shape} in the base")
        if not part.a or ".experts" in module or tail == "lm_head":
            continue  # Experts are fused by the loader, and an output layer may be tied to the embeddings.
        if tail not in modules:
            misfits.append(f"{module}, which the base does not have")
        elif len(shape) == 2 and shape != part.changed:
            misfits.append(f"{module} of {part.changed}, which has {shape} in the base")
    if misfits:
        more = f", and {len(misfits) - 1} further" if len(misfits) > 1 else ""
        raise ServerError(
            f"it was made for another model: it changes {misfits[0]}{more}",
            where=_where(name, folder),
            fix=f"Give the model that it was trained on with --model; this is {where}",
        )


def _tail(module: str) -> str:
    """A module's name from its layer on: what stands before differs between model classes."""
    match = FROM_LAYERS.search(module)
    return match[1] if match else module.rpartition(".")[2]


def _named_base(name: str, config: Mapping[str, Any], base: Path) -> Iterator[str]:
    """Whether the configuration names another base. Folders are moved and renamed, so that forbids nothing."""
    trained = config.get("base_model_name_or_path")
    if not isinstance(trained, str) or not trained:
        return
    last = trained.rstrip("/").rpartition("/")[2]
    if last.casefold() not in {part.casefold() for part in (base.name, *base.parts[-4:])} | {_hub_name(base)}:
        yield f"adapter {name} was trained on {trained[:120]}, and is served on {base}; their tensors fit"


def _hub_name(base: Path) -> str:
    """The name of a model in the hub's cache: `models--org--name/snapshots/…`."""
    held = next((part for part in reversed(base.parts) if part.startswith("models--")), "")
    return held.rpartition("--")[2].casefold()
