"""What names an arm, what a server of it takes of the machine, and which champion is served."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer
from support.records import make_manifest
from support.servers import model_folder

from llmgate.errors import CannotRunError, EndpointError, UsageError
from llmgate.generate.vllm.command import Device
from llmgate.generate.vllm.model_folder import model_folder as find_folder
from llmgate.record.manifest import ModelIdentity, ServerIdentity
from llmgate.record.weights import weights_digest
from llmgate.session.run import arm_places
from llmgate.session.run.arm_places import adapters, endpoint_place, flag_value, folder_place, read_named
from llmgate.session.run.champion import champion_place, unserved, vllm_flags
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.manifest import Manifest
    from llmgate.session.settings.typed import Settings


class Silent:
    """Progress that nobody sees."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def count(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""


def settings(tmp_path: Path, **given: Any) -> Settings:
    return settings_from(given, root=tmp_path)


def test_a_folder_or_a_url_is_named_with_or_without_a_model(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    named = read_named(f"{folder}#a", where="--compare")
    assert (named.folder, named.name, named.url) == (str(folder), "a", "")
    named = read_named("http://127.0.0.1:8000#b", where="--compare")
    assert (named.url, named.name) == ("http://127.0.0.1:8000/v1", "b")
    odd = tmp_path / "it#1"
    odd.mkdir()
    assert read_named(str(odd), where="--compare").folder == str(odd)


@pytest.mark.parametrize("text", ["", "#", "#a", "http://x#", "no/such/folder/here", "./gone", "ftp://x/y"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_named(text, where="--compare")


def test_flags_are_read_as_vllm_reads_them() -> None:
    flags = ("--gpu_memory_utilization=0.4", "--seed", "0", "-tp", "2", "--gpu-memory-utilization", "0.5")
    assert flag_value(flags, "gpu-memory-utilization") == "0.5"
    assert flag_value(flags, "tensor-parallel-size", "tp") == "2"
    assert flag_value(flags, "dtype") is None
    assert flag_value(("--dtype",), "dtype") == ""


def test_adapters_are_found_in_both_forms() -> None:
    entry = json.dumps({"name": "c", "path": "/c", "base_model_name": "x"})
    flags = ("--enable-lora", "--lora-modules", "a=/a", "b=/b=2", entry, "--seed", "0", "--lora_modules=d=/d")
    assert adapters(flags) == {"a": "/a", "b": "/b=2", "c": "/c", "d": "/d"}


def test_an_adapter_is_known_by_its_weights_and_its_bases(tmp_path: Path) -> None:
    base = model_folder(tmp_path)
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    (tuned / "adapter_config.json").write_text("{}", encoding="utf-8")
    (tuned / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    options = settings(tmp_path, server_args=f"--enable-lora --lora-modules a={tuned} b={tuned}")
    made = {
        name: folder_place(
            options, read_named(f"{base}#{name}", where=""), log_path=tmp_path / "log", progress=Silent()
        )
        for name in ("a", "b", "model")
    }
    digests = {name: place.model.weights_digest for name, place in made.items() if place.model}
    assert digests["a"] == digests["b"] != digests["model"] == weights_digest(base)
    assert made["a"].server == made["b"].server != ""
    with pytest.raises(UsageError, match="would not serve 'c'"):
        folder_place(options, read_named(f"{base}#c", where=""), log_path=tmp_path / "log", progress=Silent())


def test_gpus_are_counted_by_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path)
    with_gpus = replace(make_manifest().hardware, gpus=("NVIDIA H100 80 GB",) * 8)
    monkeypatch.setattr(arm_places, "hardware", lambda: with_gpus)
    engine = type("Engine", (), {"device": Device.GPU})()
    monkeypatch.setattr(arm_places, "find_engine", lambda *_: engine)
    for args, count in (("", 1), ("-tp 2 --pipeline-parallel-size=2 --gpu-memory-utilization 0.4", 4)):
        place = folder_place(
            settings(tmp_path, server_args=args),
            read_named(str(folder), where=""),
            log_path=tmp_path,
            progress=Silent(),
        )
        assert (place.gpus, place.server) == (count, ""), "two starts of one folder are two servers"


def test_an_endpoint_is_asked_at_once_what_it_serves(tmp_path: Path) -> None:
    with FakeServer(model="old") as server:
        place = endpoint_place(settings(tmp_path), read_named(server.url, where=""), progress=Silent())
        assert place.model is not None
        assert (place.model.name, place.owned, place.engine) == ("old", False, "vllm")
        with place.open() as target:
            assert target.endpoint.model == "old"
        with pytest.raises(EndpointError, match="does not serve 'new'"):
            endpoint_place(settings(tmp_path), read_named(f"{server.url}#new", where=""), progress=Silent())


# The champion.


def recorded(folder: Path, **changes: Any) -> Manifest:
    """A champion whose server was ours."""
    manifest = make_manifest()
    model = ModelIdentity(name=folder.name, source=str(folder), weights_digest=weights_digest(folder))
    flags = ("--seed", "0", "--enforce-eager", "--max-model-len", "512", "VLLM_CPU_KVCACHE_SPACE=1", "VLLM_X=a=b")
    server = ServerIdentity(engine="vllm", version="0.32", owned=True, flags=flags)
    return replace(manifest, model=replace(model, **changes), server=server)


def test_a_record_tells_how_its_server_is_made_again(tmp_path: Path) -> None:
    flags, env = vllm_flags(recorded(model_folder(tmp_path)).server.flags)
    assert flags == ("--seed", "0", "--enforce-eager", "--max-model-len", "512")
    assert env == {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_X": "a=b"}


def test_the_champion_of_a_folder_is_served_from_it(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    manifest = recorded(folder)
    assert unserved(settings(tmp_path), manifest) is None
    place = champion_place(settings(tmp_path), manifest, log_path=tmp_path / "log", progress=Silent())
    assert place.owned
    assert place.model is not None
    assert place.model.weights_digest == manifest.model.weights_digest


@pytest.mark.parametrize(
    "flag",
    [
        "--middleware=evil.Spy", "--tool-parser-plugin", "--worker-cls", "--worker_extension_cls=x.Y",
        "--trust-remote-code", "--logits-processors", "--kv-transfer-config", "--config", "VLLM_PLUGINS=evil",
        "VLLM_ALLOW_INSECURE_SERIALIZATION=1", "VLLM_SERVER_DEV_MODE=1",
    ],
)  # fmt: skip
def test_a_record_cannot_have_code_run(tmp_path: Path, flag: str) -> None:
    manifest = recorded(model_folder(tmp_path))
    manifest = replace(manifest, server=replace(manifest.server, flags=(*manifest.server.flags, flag)))
    with pytest.raises(CannotRunError, match="can run code of others") as error:
        champion_place(settings(tmp_path), manifest, log_path=tmp_path / "log", progress=Silent())
    assert flag.partition("=")[0] in str(error.value)


def test_what_this_run_asks_for_itself_a_record_may_ask_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = recorded(model_folder(tmp_path))
    flags = (*manifest.server.flags, "--generation-config", "vllm", "--trust-remote-code", "VLLM_PLUGINS=ours")
    manifest = replace(manifest, server=replace(manifest.server, flags=flags))
    monkeypatch.setenv("VLLM_PLUGINS", "ours")
    own = settings(tmp_path, server_args="--trust-remote-code")
    assert champion_place(own, manifest, log_path=tmp_path / "log", progress=Silent()).owned


def test_a_folder_that_is_gone_is_told_without_hashing_anything(tmp_path: Path) -> None:
    manifest = recorded(model_folder(tmp_path), source=str(tmp_path / "gone"))
    problem = unserved(settings(tmp_path), manifest)
    assert isinstance(problem, CannotRunError)
    assert "gone is not there" in str(problem)
    assert "--serving-champion DIR|URL" in str(problem)
    with pytest.raises(CannotRunError, match="is not there"):
        champion_place(settings(tmp_path), manifest, log_path=tmp_path / "log", progress=Silent())


def test_other_weights_than_the_records_are_no_champion(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    manifest = recorded(folder)
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    assert find_folder(str(folder)) is not None
    with pytest.raises(CannotRunError, match="are not those of the champion's run"):
        champion_place(settings(tmp_path), manifest, log_path=tmp_path / "log", progress=Silent())
    with FakeServer(model=folder.name) as server, pytest.raises(EndpointError, match="does not prove its weights"):
        champion_place(
            settings(tmp_path, baseline="champion", serving_champion=server.url),
            manifest,
            log_path=tmp_path / "log",
            progress=Silent(),
        )


def test_a_copy_of_the_folder_can_be_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    manifest = recorded(folder, source="/moved/elsewhere")
    named = settings(tmp_path, baseline="champion", serving_champion=str(folder))
    assert unserved(named, manifest) is None
    place = champion_place(named, manifest, log_path=tmp_path / "log", progress=Silent())
    assert place.label == str(folder)


def test_an_impossible_hosting_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean together"):
        settings(tmp_path, serving_hosting="togther")


def test_a_champion_to_serve_needs_the_champions_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Add --baseline RUN"):
        settings(tmp_path, serving_champion="http://127.0.0.1:9")
