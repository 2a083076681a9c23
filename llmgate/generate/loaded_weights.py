"""Does a running vLLM server hold the tensors of a model folder? By the server's own account.

In development mode (`VLLM_SERVER_DEV_MODE=1`) vLLM answers `POST /weight_checker` with the SHA-256 of the bytes of each
parameter as it was loaded, named `dp0:pp0:pcp0:tp0:model.layers.0.mlp.down_proj.weight`. A folder's files are hashed as
files, so the two digests meet only here, where the tensors of the folder are hashed as vLLM lays them out:

- a parameter of the same name holds the same bytes,
- `qkv_proj` holds `q_proj`, `k_proj` and `v_proj` one after the other, `gate_up_proj` holds `gate_proj` and `up_proj`,
- embeddings and the output layer are filled up with zeros to a multiple of 64 rows.

Whatever else vLLM does to weights (tensor parallelism, quantisation, another dtype, packing, as on every CPU) leaves
bytes that stand in no file: they are not explained, and what is not explained is not verified.

Reference: vLLM 0.32, entrypoints/rl/online/api_router.py and model_executor/model_loader/weight_checksum.py.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import EndpointError, WeightsError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.endpoint import ask
from llmgate.generate.vllm.machine import core_count
from llmgate.record.reach import open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LoadedWeights", "compare_loaded", "loaded_checksums"]

TIMEOUT_S: Final = 600.0
"""The server copies all weights off the GPU to hash them, and answers nothing else meanwhile."""
KEY: Final = re.compile(r"dp\d+:pp\d+:pcp(?P<pcp>\d+):tp(?P<tp>\d+):(?P<name>.+)")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
NOTHING: Final = hashlib.sha256().hexdigest()
"""Of no bytes: vLLM keeps packed weights elsewhere, and leaves an empty parameter behind."""
FUSED: Final = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
ROWS: Final = 64
PADDED: Final = re.compile(r"(?:.*\.)?(?:embed_tokens|lm_head)\.weight")
UNUSED: Final = re.compile(r".*\.rotary_emb\.inv_freq")
"""Tensors of old checkpoints, which vLLM computes by itself."""
HEADER_BYTES: Final = 100_000_000
PIECE_BYTES: Final = 1 << 20
NO_ROUTE: Final = (
    "Hash the folder where it is mounted, before the server starts: `llmgate verify FOLDER`. vLLM tells checksums only"
    " with VLLM_SERVER_DEV_MODE=1, which also lets everybody who reaches the port replace the weights"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWeights:
    """What a server holds, held against a folder. All three without the others mean the same weights.

    Attributes:
        matched: How many parameters hold the bytes of the folder's tensors.
        other: Parameters of known names that hold other bytes.
        unexplained: Parameters of which nothing can be said, with the reason.
        unloaded: Tensors of the folder that no parameter holds.
    """

    matched: int
    other: tuple[str, ...]
    unexplained: tuple[str, ...]
    unloaded: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPlace:
    """Where a tensor's bytes lie."""

    path: Path
    begin: int
    end: int
    rows: int


def loaded_checksums(url: str, *, api_key: str | None = None) -> dict[str, str]:
    """The digests of all parameters that a server has loaded.

    Args:
        url: Of the server, with or without `/v1`.
        api_key: Sent as a bearer token.

    Raises:
        EndpointError: If it cannot be reached, does not tell, or tells nonsense.
    """
    route = f"{normalise_url(url).removesuffix('/v1')}/weight_checker"
    try:
        # Only this action: `reset` on the same route would overwrite the weights with zeros.
        status, reply = ask("POST", route, body={"action": "checksum"}, api_key=api_key, timeout_s=TIMEOUT_S)
    except (OSError, http.client.HTTPException) as error:
        raise EndpointError(f"the server cannot be reached ({error})", where=route, fix="Check the URL") from error
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        raise EndpointError("the server offers nothing that shows which weights it holds", where=route, fix=NO_ROUTE)
    if status != HTTPStatus.OK:
        raise EndpointError(f"the server answers HTTP {status}", where=route, fix="Look into its log")
    told = reply.get("checksums") if isinstance(reply, dict) else None
    well_formed = isinstance(told, dict) and all(
        KEY.fullmatch(key) and isinstance(digest, str) and SHA256.fullmatch(digest) for key, digest in told.items()
    )
    if not told or not well_formed:
        raise EndpointError(
            "the server tells checksums in a form that this llmgate does not know", where=route, fix=NO_ROUTE
        )
    return dict(told)


def compare_loaded(checksums: Mapping[str, str], folder: Path) -> LoadedWeights:
    """Hold a server's parameters against the tensors of a model folder.

    Args:
        checksums: As `loaded_checksums` gives them.
        folder: A model folder with safetensors.

    Raises:
        WeightsError: If the folder's tensors cannot be read.
    """
    try:
        tensors = read_tensors(folder)
        keys = sorted(checksums)
        with ThreadPoolExecutor(core_count()) as pool:
            due = list(pool.map(lambda key: expected(parameter(key), tensors), keys))
    except OSError as error:
        raise WeightsError(f"a model file cannot be read: {error}", where=str(folder)) from error
    other, unexplained, used, matched = [], [], set[str](), 0
    for key, (parts, digest) in zip(keys, due, strict=True):
        shard = KEY.fullmatch(key)
        if shard is None or int(shard["tp"]) or int(shard["pcp"]):
            unexplained.append(f"{key}: the weights are divided among several GPUs")
        elif checksums[key] == NOTHING:
            unexplained.append(f"{key}: the server has packed it, and shows no bytes")
        elif digest is None:
            unexplained.append(f"{key}: the folder has no tensor of this name")
        elif digest != checksums[key]:
            other.append(key)
        else:
            matched += 1
        used.update(parts)
    unloaded = sorted(name for name in tensors if name not in used and not UNUSED.fullmatch(name))
    return LoadedWeights(matched=matched, other=tuple(other), unexplained=tuple(unexplained), unloaded=tuple(unloaded))


def parameter(key: str) -> str:
    """The parameter's name in a key."""
    match = KEY.fullmatch(key)
    return match["name"] if match else key


def expected(name: str, tensors: Mapping[str, TensorPlace]) -> tuple[tuple[str, ...], str | None]:
    """The tensors of which a parameter is made, and the digest that it should have; None if they are not known."""
    parts: tuple[str, ...] = (name,)
    for fused, single in FUSED.items():
        if name not in tensors and f".{fused}." in name:
            parts = tuple(name.replace(f".{fused}.", f".{part}.") for part in single)
    if not all(part in tensors for part in parts):
        return (), None
    digest = hashlib.sha256()
    for part in parts:
        tensor = tensors[part]
        with open_regular(tensor.path) as file:
            file.seek(tensor.begin)
            left = tensor.end - tensor.begin
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                digest.update(piece)
                left -= len(piece)
        if left:
            raise OSError(f"{tensor.path} ends before its tensors do")
    if PADDED.fullmatch(name) and tensors[name].rows:
        rows, size = tensors[name].rows, tensors[name].end - tensors[name].begin
        digest.update(bytes(-rows % ROWS * (size // rows)))
    return parts, digest.hexdigest()


def read_tensors(folder: Path) -> dict[str, TensorPlace]:
    """Where the tensors of a folder's safetensors lie.

    Raises:
        WeightsError: If there are none, a header is broken, or a tensor stands in two files.
    """
    tensors: dict[str, TensorPlace] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in read_header(path).items():
            if name in tensors:
                raise WeightsError(f"the tensor {name!r} stands in two files", where=str(path))
            tensors[name] = tensor
    if not tensors:
        raise WeightsError("the folder holds no safetensors to compare with", where=str(folder))
    return tensors


def read_header(path: Path) -> dict[str, TensorPlace]:
    """Where the tensors of one file lie.

    Reference: the safetensors format: eight bytes of length, little-endian, a JSON header, the data.
    """
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        raw = file.read(length) if length <= HEADER_BYTES else b""
    try:
        header: Any = json.loads(raw)
        start = 8 + length
        return {
            name: TensorPlace(
                path=path,
                begin=start + int(entry["data_offsets"][0]),
                end=start + int(entry["data_offsets"][1]),
                rows=int(entry["shape"][0]) if entry["shape"] else 0,
            )
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise WeightsError("its header cannot be read", where=str(path), fix="Copy the file again") from error
