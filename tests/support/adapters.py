"""LoRA adapters as PEFT writes them, made without it: of random weights, for a real base or for none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["write_adapter", "write_safetensors"]

Shape = tuple[int, int]


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
    """A safetensors file of float32 tensors."""
    header: dict[str, Any] = {}
    data = bytearray()
    for name, tensor in tensors.items():
        raw = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))


def write_adapter(
    folder: Path,
    *,
    base: Path | None = None,
    seed: int = 0,
    strength: float = 0.01,
    rank: int = 4,
    modules: Sequence[str] = ("q_proj", "v_proj"),
    layers: int | None = None,
    named: str | None = None,
    **config: Any,
) -> Path:
    """Write an adapter.

    Args:
        folder: Where to.
        base: The folder of a Llama; None for one layer of a base that nobody has.
        seed: Of its weights.
        strength: How much it changes: the standard deviation of what it adds to a weight, with alpha equal to the rank.
        rank: Of all modules.
        modules: Which it changes in each layer, of q_proj, k_proj, v_proj and o_proj.
        layers: How many layers it changes; default: those of the base.
        named: The base that its configuration names; default: the folder of the base.
        config: Entries of adapter_config.json besides.

    Returns:
        The folder.
    """
    told = json.loads((base / "config.json").read_text(encoding="utf-8")) if base else {}
    hidden, heads = told.get("hidden_size", 8), told.get("num_attention_heads", 2)
    size = told.get("head_dim", hidden // heads)
    keys = told.get("num_key_value_heads", heads) * size
    shapes: dict[str, Shape] = {
        "q_proj": (heads * size, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "o_proj": (hidden, heads * size),
    }
    draw = np.random.default_rng(seed)
    tensors = {}
    for layer in range(told.get("num_hidden_layers", 1) if layers is None else layers):
        for module in modules:
            rows, columns = shapes[module]
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{stem}.lora_A.weight"] = draw.normal(size=(rank, columns)).astype(np.float32)
            # The sum over the rank of products of two normals has a variance of `rank`.
            tensors[f"{stem}.lora_B.weight"] = (strength / rank**0.5 * draw.normal(size=(rows, rank))).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    entries = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base or "") if named is None else named,
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(modules),
        "bias": "none",
        "inference_mode": True,
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return folder
