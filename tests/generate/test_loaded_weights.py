"""A running server's tensors against a folder's."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import EndpointError, WeightsError
from llmgate.generate.loaded_weights import compare_loaded, loaded_checksums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Tensors = dict[str, tuple[list[int], bytes]]
RANK = "dp0:pp0:pcp0:tp0:"


def safetensors(path: Path, tensors: Tensors) -> None:
    """A file in the format of safetensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"".join(data for _, data in tensors.values()))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


LAYER = "model.layers.0."
FILES: tuple[Tensors, ...] = (
    {
        "model.embed_tokens.weight": ([100, 2], b"e" * 200),
        f"{LAYER}self_attn.q_proj.weight": ([4, 2], b"q" * 8),
        f"{LAYER}self_attn.k_proj.weight": ([2, 2], b"k" * 4),
        f"{LAYER}self_attn.v_proj.weight": ([2, 2], b"v" * 4),
        f"{LAYER}self_attn.rotary_emb.inv_freq": ([1], b"f"),
    },
    {
        f"{LAYER}mlp.gate_proj.weight": ([4, 2], b"g" * 8),
        f"{LAYER}mlp.up_proj.weight": ([4, 2], b"u" * 8),
        "model.norm.weight": ([2], b"n" * 2),
        "lm_head.weight": ([128, 2], b"h" * 256),
    },
)
LOADED = {
    f"{RANK}model.embed_tokens.weight": sha(b"e" * 200 + bytes(56)),
    f"{RANK}{LAYER}self_attn.qkv_proj.weight": sha(b"q" * 8 + b"k" * 4 + b"v" * 4),
    f"{RANK}{LAYER}mlp.gate_up_proj.weight": sha(b"g" * 8 + b"u" * 8),
    f"{RANK}model.norm.weight": sha(b"nn"),
    f"{RANK}lm_head.weight": sha(b"h" * 256),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, tensors in enumerate(FILES):
        safetensors(tmp_path / f"model-{number}.safetensors", tensors)
    return tmp_path


def test_the_same_weights_are_all_matched(folder: Path) -> None:
    found = compare_loaded(LOADED, folder)
    assert (found.matched, found.other, found.unexplained, found.unloaded) == (5, (), (), ())


@pytest.mark.parametrize("replica", ["dp1:pp0:pcp0:tp0:", "dp0:pp1:pcp0:tp0:"])
def test_every_replica_counts(folder: Path, replica: str) -> None:
    found = compare_loaded({**LOADED, f"{replica}model.norm.weight": sha(b"nX")}, folder)
    assert found.other == (f"{replica}model.norm.weight",)


def test_one_other_byte_is_found_in_a_fused_parameter(folder: Path) -> None:
    changed = {**FILES[0], f"{LAYER}self_attn.v_proj.weight": ([2, 2], b"vvvX")}
    safetensors(folder / "model-0.safetensors", changed)
    assert compare_loaded(LOADED, folder).other == (f"{RANK}{LAYER}self_attn.qkv_proj.weight",)


def test_two_tensors_that_changed_places_are_found(folder: Path) -> None:
    changed = {
        **FILES[1],
        f"{LAYER}mlp.gate_proj.weight": ([4, 2], b"u" * 8),
        f"{LAYER}mlp.up_proj.weight": ([4, 2], b"g" * 8),
    }
    safetensors(folder / "model-1.safetensors", changed)
    assert compare_loaded(LOADED, folder).other == (f"{RANK}{LAYER}mlp.gate_up_proj.weight",)


def test_a_server_that_loaded_less_does_not_pass(folder: Path) -> None:
    """Fewer layers, by an option of the server, are another model."""
    fewer = {key: digest for key, digest in LOADED.items() if "mlp" not in key}
    assert compare_loaded(fewer, folder).unloaded == (f"{LAYER}mlp.gate_proj.weight", f"{LAYER}mlp.up_proj.weight")


@pytest.mark.parametrize(
    ("key", "digest", "why"),
    [
        ("dp0:pp0:pcp0:tp1:model.norm.weight", sha(b"nn"), "divided among several GPUs"),
        ("dp0:pp0:pcp1:tp0:model.norm.weight", sha(b"nn"), "divided among several GPUs"),
        (f"{RANK}model.norm.weight", sha(b""), "packed it, and shows no bytes"),
        (f"{RANK}model.adapter.weight", sha(b"x"), "no tensor of this name"),
        (f"{RANK}{LAYER}cross.qkv_proj.weight", sha(b"x"), "no tensor of this name"),
    ],
)
def test_what_is_not_explained_is_said(folder: Path, key: str, digest: str, why: str) -> None:
    found = compare_loaded({**LOADED, key: digest}, folder)
    assert len(found.unexplained) == 1
    assert found.unexplained[0].startswith(key)
    assert why in found.unexplained[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (5).to_bytes(8, "little") + b"[1,2]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (2).to_bytes(8, "little") + b"\xff\xff",
    ],
)
def test_a_broken_file_is_an_error(folder: Path, data: bytes) -> None:
    (folder / "model-0.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="header cannot be read"):
        compare_loaded(LOADED, folder)


def test_a_file_that_ends_too_soon_or_a_tensor_twice_is_an_error(folder: Path) -> None:
    whole = (folder / "model-1.safetensors").read_bytes()
    (folder / "model-1.safetensors").write_bytes(whole[:-10])
    with pytest.raises(WeightsError, match="cannot be read"):
        compare_loaded(LOADED, folder)
    (folder / "model-1.safetensors").write_bytes(whole)
    (folder / "model-2.safetensors").write_bytes(whole)
    with pytest.raises(WeightsError, match="stands in two files"):
        compare_loaded(LOADED, folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(WeightsError, match="holds no safetensors"):
        compare_loaded(LOADED, folder)


@contextmanager
def server(status: int, reply: object) -> Iterator[tuple[str, list[Any]]]:
    """Answers every POST with the same, and remembers what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{opened.server_port}", asked
        finally:
            opened.shutdown()


def test_a_server_is_asked_for_checksums_and_for_nothing_else() -> None:
    with server(200, {"checksums": LOADED}) as (url, asked):
        assert loaded_checksums(f"{url}/v1") == LOADED
    assert asked == [("/weight_checker", {"action": "checksum"})]


@pytest.mark.parametrize(
    ("status", "reply", "match"),
    [
        (404, {"detail": "Not Found"}, "offers nothing that shows which weights"),
        (405, {}, "offers nothing that shows which weights"),
        (500, {}, "HTTP 500"),
        (307, {}, "HTTP 307"),
        (200, {}, "in a form that this llmgate does not know"),
        (200, [], "in a form that this llmgate does not know"),
        (200, {"checksums": {}}, "in a form that this llmgate does not know"),
        (200, {"checksums": {"model.norm.weight": "0" * 64}}, "in a form that this llmgate does not know"),
        (200, {"checksums": {f"{RANK}model.norm.weight": "sha"}}, "in a form that this llmgate does not know"),
    ],
)
def test_a_server_that_shows_nothing_is_an_error_and_no_pass(status: int, reply: object, match: str) -> None:
    with server(status, reply) as (url, _), pytest.raises(EndpointError, match=match) as error:
        loaded_checksums(url)
    assert error.value.exit_code == 4


def test_nobody_answers() -> None:
    with pytest.raises(EndpointError, match="cannot be reached"):
        loaded_checksums("http://127.0.0.1:9")
