"""What names an arm, what a server of it takes of the machine, and which champion is served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.adapters import write_adapter
from support.fake_server import FakeServer
from support.records import make_manifest
from support.servers import model_folder

from llmgate.errors import CannotRunError, EndpointError, ServerError, UsageError
from llmgate.generate.client import Endpoint
from llmgate.generate.vllm.command import Device
from llmgate.generate.vllm.model_folder import model_folder as find_folder
from llmgate.record.manifest import ModelIdentity, ServerIdentity, adapted_digest
from llmgate.record.weights import weights_digest
from llmgate.session.run import arm_places
from llmgate.session.run.arm_places import endpoint_place, folder_place, read_named, running_place
from llmgate.session.run.champion import champion_place, unserved, vllm_flags
from llmgate.session.serving.hosting import choose_hosting
from llmgate.session.settings.combined import settings_from
from llmgate.session.target import Target

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


def test_an_adapter_is_known_by_its_weights_and_its_bases(tmp_path: Path) -> None:
    base = model_folder(tmp_path)
    tuned = write_adapter(tmp_path / "tuned")
    options = settings(tmp_path, adapter=f"a={tuned} b={tuned}")
    made = {
        name: folder_place(
            options, read_named(f"{base}#{name}", where=""), log_path=tmp_path / "log", progress=Silent()
        )
        for name in ("a", "b", "model")
    }
    digests = {name: place.model.weights_digest for name, place in made.items() if place.model}
    assert digests["a"] == digests["b"] == adapted_digest(weights_digest(base), weights_digest(tuned))
    assert digests["model"] == weights_digest(base)
    for name in ("a", "b"):
        model = made[name].model
        assert model is not None
        assert (model.base, model.adapter) == (weights_digest(base), weights_digest(tuned))
        assert (model.name, model.source) == (name, str(tuned))
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
    assert "--serving-champion PLACE|URL" in str(problem)
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


# Adapters.


def adapter_record(folder: Path, base: Path, adapter: Path, **changes: Any) -> Manifest:
    """A champion that was an adapter on a server of ours."""
    digests = weights_digest(base), weights_digest(adapter)
    model = {"name": "old", "source": str(adapter), "base": digests[0], "adapter": digests[1]}
    manifest = recorded(base, **{**model, "weights_digest": adapted_digest(*digests), **changes})
    lora = ("--enable-lora", "--max-loras", "2", "--lora-modules", f"old=sha256:{digests[1]}")
    return replace(manifest, server=replace(manifest.server, flags=(*lora, *manifest.server.flags)))


def running(options: Settings, base: Path, tmp_path: Path, name: str) -> Target:
    """The model under test, as if its server were up."""
    place = folder_place(options, read_named(f"{base}#{name}", where=""), log_path=tmp_path, progress=Silent())
    whole = folder_place(options, read_named(f"{base}#{base.name}", where=""), log_path=tmp_path, progress=Silent())
    models = [each.model for each in (whole, *(
        folder_place(options, read_named(f"{base}#{each}", where=""), log_path=tmp_path, progress=Silent())
        for each in options.adapter
    ))]  # fmt: skip
    assert place.model is not None
    return Target(
        endpoint=Endpoint(url="http://127.0.0.1:9/v1", model=name),
        model=place.model,
        server=ServerIdentity(engine="vllm", owned=True),
        death=lambda: None,
        beside={each.name: each for each in models if each is not None},
    )


def two_adapters(tmp_path: Path) -> tuple[Path, Path, Path]:
    base = model_folder(tmp_path)
    return base, write_adapter(tmp_path / "new", seed=1), write_adapter(tmp_path / "old", seed=2)


def test_a_champion_adapter_is_served_on_the_candidates_server(tmp_path: Path) -> None:
    base, new, old = two_adapters(tmp_path)
    options = settings(tmp_path, model=str(base), adapter=f"new={new} before={old}", served_name="new")
    target = running(options, base, tmp_path, "new")
    manifest = adapter_record(tmp_path, base, old)
    candidate = running_place(options, target, progress=Silent())
    champion = champion_place(options, manifest, log_path=tmp_path, progress=Silent(), running=target)
    assert champion.model is not None
    assert champion.model.name == "before", "by what it holds, whatever it is called now"
    choice = choose_hosting(candidate, champion, asked="auto")
    assert choice.hosting == "shared"
    assert champion.beside is not None
    beside = champion.beside(target)
    assert (beside.endpoint.model, beside.server.model_names) == ("before", ("before",))
    alike = replace(target, alike=frozenset({frozenset({"new", "before"})}))
    apart = champion_place(options, manifest, log_path=tmp_path, progress=Silent(), running=alike)
    assert choose_hosting(candidate, apart, asked="auto").hosting == "restarts", "nothing shows that one server can"
    with pytest.raises(ServerError, match="answer alike"):
        champion.beside(alike)


def test_the_base_beside_an_adapter_is_asked_by_its_own_name(tmp_path: Path) -> None:
    base, new, _ = two_adapters(tmp_path)
    options = settings(tmp_path, adapter=f"new={new}")
    place = folder_place(options, read_named(f"{base}#{base.name}", where=""), log_path=tmp_path, progress=Silent())
    assert place.beside is not None
    beside = place.beside(running(options, base, tmp_path, "new"))
    assert (beside.endpoint.model, beside.model.adapter) == (base.name, "")


def test_a_champion_adapter_that_is_not_named_is_told(tmp_path: Path) -> None:
    base, new, old = two_adapters(tmp_path)
    manifest = adapter_record(tmp_path, base, old)
    alone = settings(tmp_path, model=str(base))
    assert "the adapter old, and this run serves none" in str(unserved(alone, manifest))
    other = settings(tmp_path, model=str(base), adapter=f"new={new}")
    assert unserved(other, manifest) is None
    with pytest.raises(CannotRunError, match="no adapter of this run holds its weights"):
        champion_place(
            other, manifest, log_path=tmp_path, progress=Silent(), running=running(other, base, tmp_path, "new")
        )


def test_a_named_champion_adapter_must_hold_the_weights_of_its_run(tmp_path: Path) -> None:
    base, new, old = two_adapters(tmp_path)
    manifest = adapter_record(tmp_path, base, old)
    for adapter, good in ((old, True), (new, False)):
        options = settings(
            tmp_path, model=str(base), adapter=f"x={adapter}", baseline="b", serving_champion=f"{base}#x"
        )
        if good:
            assert champion_place(options, manifest, log_path=tmp_path, progress=Silent()).owned
            continue
        with pytest.raises(CannotRunError, match="are not those of the champion's run"):
            champion_place(options, manifest, log_path=tmp_path, progress=Silent())


def test_a_whole_champion_that_was_served_with_adapters_is_served_without(tmp_path: Path) -> None:
    base, _, old = two_adapters(tmp_path)
    manifest = adapter_record(tmp_path, base, old)
    whole = recorded(base)
    manifest = replace(whole, server=manifest.server)
    assert champion_place(settings(tmp_path), manifest, log_path=tmp_path, progress=Silent()).server == ""
