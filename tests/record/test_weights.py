"""The manifest of a model folder: what counts, what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.servers import model_folder

from llmgate.errors import WeightsError
from llmgate.record import weights_files
from llmgate.record.weights import WeightsManifest, differences, read_manifest, weights_digest, weights_manifest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = model_folder(tmp_path)
    for number, letter in enumerate("abc", start=1):
        (made / f"model-0000{number}.safetensors").write_text(letter * 100, encoding="ascii")
    return made


def paths(folder: Path) -> list[str]:
    return [file.path for file in weights_manifest(folder).files]


def test_no_folder_no_weights_no_identity(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    with pytest.raises(WeightsError, match="no such model folder"):
        weights_digest(tmp_path / "absent")
    with pytest.raises(WeightsError, match="no such model folder"):
        weights_digest(folder / "config.json")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="holds no weights"):
        weights_digest(folder)


def test_the_digest_is_the_documented_one(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    # Worked out by hand with sha256sum over the manifest; the same as before there was a manifest.
    assert weights_digest(folder) == "9a6da089a607d954d260f197ebb33c55b88be09f167066bff16167d2dddeb55b"
    assert weights_digest(str(folder)) == weights_manifest(folder, threads=1).digest


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer.json", "tokenizer.model", "merges.txt", "generation_config.json", "chat_template.jinja"),
        *("model-00002.safetensors", "modeling_custom.py", "unheard_of.json", "additional_chat_templates/rag.jinja"),
        # Kinds that nobody has heard of yet, and such as only look like notes or traces of training.
        *("model.zip", "weights.safetensors2", "noextension", "picture.png", "code/__pycache__/x.cpython-311.pyc"),
        *("readme.safetensors", "license.bin", "NOTICE.py", "optimizer_evil.bin", "optimizer.py", "scheduler.bin"),
        *("scheduler_config.json", "training_args_2.bin", "Optimizer.pt", "chat_template.txt", "registered_model_meta"),
        *(".shard.safetensors", ".hidden/more.safetensors", ".git/modeling.py", "licenses.txt.pt"),
    ],
)
def test_everything_that_shapes_behaviour_counts(folder: Path, name: str) -> None:
    before = weights_digest(folder)
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text("a" * 50, encoding="utf-8")
    added = weights_digest(folder)
    (folder / name).write_text("b" * 50, encoding="utf-8")
    assert len({before, added, weights_digest(folder)}) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "README", "LICENSE", "LICENSE.txt", "LICENSE-MODEL", "licence.html", "USE_POLICY.md", "NOTICE"),
        *("trainer_state.json", "training_args.bin", "optimizer.pt", "rng_state_0.pth", "scheduler.pt", "a/scaler.pt"),
        *("runs/events.out.tfevents.17.host", "eval_results.json", "requirements.txt", ".gitattributes"),
        *(".cache/huggingface/x.json", ".hidden.json"),
    ],
)
def test_notes_traces_of_training_and_hidden_files_do_not_count(folder: Path, name: str) -> None:
    before = weights_digest(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("a", encoding="utf-8")
    assert weights_digest(folder) == before


def test_beside_an_mlmodel_what_a_download_adds_is_left_out_and_what_is_installed_counts(folder: Path) -> None:
    (folder / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    before = paths(folder)
    (folder / "registered_model_meta").write_text("model_name: bot\nmodel_version: '7'\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("torch\n", encoding="utf-8")
    assert sorted(set(paths(folder)) - set(before)) == ["requirements.txt"]


def test_a_download_by_mlflow_has_the_digest_of_what_was_logged(folder: Path, tmp_path: Path) -> None:
    """The file is written by MLflow's own code, so that a further one in a later MLflow is noticed here."""
    repository = pytest.importorskip("mlflow.store.artifact.models_artifact_repo")
    (folder / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    before = weights_digest(folder)
    found = repository.ModelsArtifactRepository.__new__(repository.ModelsArtifactRepository)
    found.model_name, found.model_version = "bot", "7"
    found._add_registered_model_meta_file(str(folder))
    assert len(list(folder.iterdir())) == 7
    assert weights_digest(folder) == before


# ── what is refused ──


def test_a_fifo_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "vocab.json")
    with pytest.raises(WeightsError, match="a device, a FIFO or a socket"):
        weights_digest(folder)


def test_a_file_that_cannot_be_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # who may read everything
        real = os.open

        def refuse(path: str | Path, flags: int, mode: int = 0o777, **more: int) -> int:
            if str(path).endswith("model-00002.safetensors"):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, flags, mode, **more)

        monkeypatch.setattr(os, "open", refuse)
    (folder / "model-00002.safetensors").chmod(0)
    with pytest.raises(WeightsError, match=r"cannot be read: .*model-00002\.safetensors"):
        weights_digest(folder)


def test_a_dangling_link_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").symlink_to(folder / "absent")
    with pytest.raises(WeightsError, match="cannot be read"):
        weights_digest(folder)


def test_a_name_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/model-\xff.safetensors"))).write_bytes(b"x")
    with pytest.raises(WeightsError, match="is not UTF-8") as error:
        weights_digest(folder)
    str(error.value).encode("utf-8")


def test_a_folder_without_end_is_refused(folder: Path) -> None:
    (folder / "again").symlink_to(folder, target_is_directory=True)
    with pytest.raises(WeightsError, match="has no end"):
        weights_digest(folder)


def test_a_link_to_itself_is_refused(folder: Path) -> None:
    (folder / "loop.bin").symlink_to("loop.bin")
    with pytest.raises(WeightsError, match=r"cannot be read: .*loop\.bin"):
        weights_digest(folder)


def test_more_files_than_a_model_has_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_files, "MOST_FILES", 4)
    with pytest.raises(WeightsError, match="more than 4 files"):
        weights_digest(folder)


def during_hashing(act: Callable[[], None]) -> Callable[[int, int], None]:
    """A progress that does something to the folder, once, in the middle of it all."""
    done: list[bool] = []

    def tell(_done: int, _total: int) -> None:
        if not done:
            done.append(True)
            act()

    return tell


def test_a_file_that_grows_while_it_is_hashed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, real = folder / "model-00002.safetensors", os.readv

    def grow(descriptor: int, buffers: list[memoryview]) -> int:
        count = real(descriptor, buffers)
        if count and Path(f"/proc/self/fd/{descriptor}").readlink() == target:
            with target.open("ab") as file:
                file.write(b"more")
        return count

    monkeypatch.setattr(os, "readv", grow)
    with pytest.raises(WeightsError, match=r"model-00002\.safetensors: the file changed while it was read"):
        weights_digest(folder)


@pytest.mark.parametrize("restored", [False, True])
def test_a_file_that_is_overwritten_while_it_is_hashed_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, restored: bool
) -> None:
    """Same size, and even the same mtime: ctime tells."""
    target, real = folder / "model-00002.safetensors", os.readv

    def overwrite(descriptor: int, buffers: list[memoryview]) -> int:
        count = real(descriptor, buffers)
        if count and Path(f"/proc/self/fd/{descriptor}").readlink() == target:
            times = target.stat()
            os.pwrite(writable, b"X", 50)
            if restored:
                os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
        return count

    writable = os.open(target, os.O_WRONLY)
    monkeypatch.setattr(os, "readv", overwrite)
    try:
        with pytest.raises(WeightsError, match="changed while it was read"):
            weights_digest(folder)
    finally:
        os.close(writable)


def test_a_file_that_another_one_replaces_while_it_is_hashed_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, real, other = folder / "model-00002.safetensors", os.readv, folder.parent / "other"
    other.write_text("b" * 100, encoding="ascii")

    def replace_it(descriptor: int, buffers: list[memoryview]) -> int:
        if other.exists() and Path(f"/proc/self/fd/{descriptor}").readlink() == target:
            other.rename(target)
        return real(descriptor, buffers)

    monkeypatch.setattr(os, "readv", replace_it)
    with pytest.raises(WeightsError, match="changed while it was read"):
        weights_digest(folder)


@pytest.mark.parametrize("act", ["add", "remove"])
def test_a_folder_that_changes_while_it_is_hashed_is_refused(folder: Path, act: str) -> None:
    def change() -> None:
        if act == "add":
            (folder / "late.py").write_text("x", encoding="utf-8")
        else:
            (folder / "config.json").unlink()

    with pytest.raises(WeightsError, match="added or removed while"):
        weights_manifest(folder, progress=during_hashing(change))


def test_an_error_ends_all_threads(folder: Path) -> None:
    with (folder / "model-00009.safetensors").open("wb") as file:
        file.truncate(2_000_000_000)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        weights_manifest(folder, threads=2, progress=interrupt)
    assert threading.active_count() == before


# ── links ──


def test_the_layout_of_the_hubs_cache(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "models--org--bot"
    blobs, snapshot = model / "blobs", model / "snapshots" / "c0ffee"
    for made in (blobs, snapshot / "onnx"):
        made.mkdir(parents=True)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"onnx")
    for number, file in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        (blobs / str(number)).write_bytes(file.read_bytes())
        link = snapshot / file.relative_to(folder)
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    assert weights_manifest(snapshot) == weights_manifest(folder)


def test_a_link_out_of_the_folder_counts_by_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    outside = tmp_path / "elsewhere" / "tokenizer.json"
    outside.write_text("one", encoding="utf-8")
    (folder / "tokenizer.json").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent, target_is_directory=True)
    before = weights_manifest(folder)
    outside.write_text("two", encoding="utf-8")
    assert differences(before, weights_manifest(folder)) == (
        "linked/tokenizer.json: 3 bytes as expected, but other contents",
        "tokenizer.json: 3 bytes as expected, but other contents",
    )


def test_hidden_links_to_folders_are_left_alone(folder: Path) -> None:
    """Volumes of Kubernetes keep `..data` beside the names that lead into it."""
    before = weights_digest(folder)
    (folder / "..2026_11_28").mkdir()
    (folder / "..2026_11_28" / "template.txt").write_text("x", encoding="utf-8")
    (folder / "..data").symlink_to("..2026_11_28", target_is_directory=True)
    assert weights_digest(folder) == before


# ── what it says ──


def test_what_differs_is_said_for_a_reader(folder: Path) -> None:
    before = weights_manifest(folder)
    first, second = folder / "model-00001.safetensors", folder / "model-00002.safetensors"
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    (folder / "model-00003.safetensors").unlink()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "new.unheard").write_text("new", encoding="utf-8")
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[3] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    after = weights_manifest(folder)
    assert after.digest != before.digest
    assert differences(before, after) == (
        "config.json: 2 bytes, not 39",
        "model-00001.safetensors: 100 bytes as expected, but other contents, those of model-00002.safetensors",
        "model-00002.safetensors: 100 bytes as expected, but other contents, those of model-00001.safetensors",
        "model-00003.safetensors: missing",
        "model.safetensors: 10 bytes as expected, but other contents",
        "new.unheard: added",
    )
    assert differences(before, before) == ()


def test_a_manifest_is_read_as_it_was_written(folder: Path) -> None:
    manifest = weights_manifest(folder)
    assert read_manifest(manifest.to_json()) == manifest
    assert manifest.size == 39 + 10 + 300


def broken(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def act(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return act


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda _text: "[]",
        lambda _text: "[" * 100_000,
        broken(lambda content: content.update(version=2)),
        broken(lambda content: content.pop("files")),
        broken(lambda content: content.update(files=7)),
        broken(lambda content: content.update(digest="0" * 64)),
        broken(lambda content: content["files"].append(content["files"][0])),
        broken(lambda content: content["files"][0].update(path="../x")),
        broken(lambda content: content["files"][0].update(path="/etc/passwd")),
        broken(lambda content: content["files"][0].update(size=-1)),
        broken(lambda content: content["files"][0].update(size=True)),
        broken(lambda content: content["files"][0].update(sha256="A" * 64)),
    ],
)
def test_a_manifest_that_was_changed_is_refused(folder: Path, change: Callable[[str], str]) -> None:
    with pytest.raises(WeightsError, match="no manifest of weights"):
        read_manifest(change(weights_manifest(folder).to_json()))


def test_progress_ends_with_all_bytes(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    manifest = weights_manifest(folder, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (manifest.size, manifest.size)


@settings(deadline=None)
@given(contents=st.dictionaries(st.sampled_from(["a.json", "b.json", "c.txt", "d.x"]), st.binary(max_size=8)))
def test_different_files_have_different_digests(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    folder = model_folder(tmp_path_factory.mktemp("m"))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    before = weights_manifest(folder)
    (folder / "c.txt").write_bytes(contents.get("c.txt", b"") + b"x")
    after = weights_manifest(folder)
    assert before.digest != after.digest
    assert [line.partition(":")[0] for line in differences(before, after)] == ["c.txt"]


def test_the_order_of_files_does_not_matter_to_the_manifest() -> None:
    files = {"b": (1, "1" * 64), "a": (2, "2" * 64)}
    assert WeightsManifest.of(files) == WeightsManifest.of(dict(reversed(files.items())))
    assert re.fullmatch("[0-9a-f]{64}", replace(WeightsManifest.of(files)).digest)
