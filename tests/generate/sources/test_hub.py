"""The hub's own client against a server that speaks its API: commits, caches, offline, and what hostile servers try."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.hub import MODEL, A, B, Hub, hub_server
from support.told import Told

from llmgate.errors import CannotRunError
from llmgate.generate.sources.hub import Snapshot, hub_snapshot
from llmgate.generate.sources.place import HubModel, read_place
from llmgate.record.weights import weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

constants = pytest.importorskip("huggingface_hub.constants")

NEEDED = {
    "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja", "model.safetensors",
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hub_server(monkeypatch) as server:
        yield server


def bring(tmp_path: Path, text: str, told: Told | None = None, **options: Any) -> Snapshot:
    place = read_place(text)
    assert isinstance(place, HubModel)
    given: dict[str, Any] = {"code": False, "cache": None, "progress": told or Told(), **options}
    return hub_snapshot(place, root=tmp_path / "llmgate", **given)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_commit_is_fetched_once_and_never_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    found = bring(tmp_path, f"hf://acme/bot@{A}")
    assert found.commit == A
    assert content(found.folder) == {name: MODEL[name] for name in NEEDED}
    assert found.folder.name == "bot"
    assert set(hub.downloads()) == NEEDED
    hub.asked.clear()
    assert bring(tmp_path, f"hf://acme/bot@{A}") == found
    assert hub.asked == []


def test_no_pickle_is_fetched_and_no_code_unasked(hub: Hub, tmp_path: Path) -> None:
    plain = bring(tmp_path, f"hf://acme/bot@{A}")
    trusting = bring(tmp_path, f"hf://acme/bot@{A}", code=True)
    assert "pytorch_model.bin" not in hub.downloads()
    assert set(content(trusting.folder)) - set(content(plain.folder)) == {"modeling_bot.py"}


def test_a_branch_is_resolved_and_said(hub: Hub, tmp_path: Path) -> None:
    told = Told()
    assert bring(tmp_path, "hf://acme/bot", told).commit == A
    assert told.lines[0] == f"hf://acme/bot: 'main' is commit {A} now; hf://acme/bot@{A} stays with it"
    hub.commits[B] = {**MODEL, "model.safetensors": b"others"}
    hub.refs["main"] = B
    moved = bring(tmp_path, "hf://acme/bot@main")
    assert moved.commit == B
    assert content(moved.folder)["model.safetensors"] == b"others"


def test_the_digest_is_the_commits_whatever_else_is_in_the_cache(hub: Hub, tmp_path: Path) -> None:
    import huggingface_hub

    first = weights_digest(bring(tmp_path / "a", f"hf://acme/bot@{A}").folder)
    huggingface_hub.snapshot_download("acme/bot", revision=A)
    assert weights_digest(bring(tmp_path / "a", f"hf://acme/bot@{A}").folder) == first
    assert weights_digest(bring(tmp_path / "b", f"hf://acme/bot@{A}").folder) == first


def test_what_another_program_fetched_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    import huggingface_hub

    huggingface_hub.snapshot_download("acme/bot", revision=A)
    hub.asked.clear()
    bring(tmp_path, f"hf://acme/bot@{A}")
    assert hub.downloads() == []


def test_offline_takes_the_cache_and_says_so(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    online = bring(tmp_path, f"hf://acme/bot@{A}")
    huggingface_hub.hf_hub_download("acme/bot", "config.json", revision="main")
    hub.commits[B], hub.refs["main"] = {**MODEL, "config.json": b"[]"}, B
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    told = Told()
    assert bring(tmp_path, "hf://acme/bot@main", told) == online
    assert told.lines == [f"hf://acme/bot@main: offline, so 'main' is what it was when it was fetched last: {A}"]
    assert hub.asked == []


def test_offline_without_our_note_the_cache_vouches_for_itself(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = bring(tmp_path / "a", f"hf://acme/bot@{A}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elsewhere = bring(tmp_path / "b", f"hf://acme/bot@{A}")
    assert content(elsewhere.folder) == content(online.folder)
    blob = (elsewhere.folder / "config.json").resolve()
    blob.write_bytes(b"[" + blob.read_bytes()[1:])
    with pytest.raises(CannotRunError, match="the cached copy of 'config.json' is not what the hub has"):
        bring(tmp_path / "b", f"hf://acme/bot@{A}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"hf://acme/bot@{A}", "this commit is not in the cache"),
        ("hf://acme/bot@main", "the cache does not know which commit 'main' is"),
        ("hf://acme/bot", "the cache does not know which commit 'main' is"),
    ],
)
def test_offline_with_an_empty_cache_it_says_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CannotRunError, match="HF_HUB_OFFLINE is set") as caught:
        bring(tmp_path, text)
    assert what in caught.value.what
    assert "HF_HOME" in str(caught.value.fix)
    assert hub.asked == []


def test_without_a_network_nothing_moving_is_believed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = bring(tmp_path, f"hf://acme/bot@{A}")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert bring(tmp_path, f"hf://acme/bot@{A}") == pinned
    with pytest.raises(CannotRunError, match="the hub cannot be reached") as caught:
        bring(tmp_path, "hf://acme/bot@main")
    assert "HF_HUB_OFFLINE=1" in str(caught.value.fix)


def test_a_damaged_cache_is_found_and_mended(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bring(tmp_path, f"hf://acme/bot@{A}")
    for name in ("model.safetensors", "config.json"):
        blob = (found.folder / name).resolve()
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.write_bytes(bytes(data))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CannotRunError, match="is not what the hub has, and HF_HUB_OFFLINE is set"):
        bring(tmp_path, f"hf://acme/bot@{A}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.asked.clear()
    told = Told()
    mended = bring(tmp_path, f"hf://acme/bot@{A}", told)
    assert "fetching it again" in told.lines[0]
    assert content(mended.folder) == {name: MODEL[name] for name in NEEDED}
    assert sorted(hub.downloads()) == ["config.json", "model.safetensors"]


def test_a_file_that_was_taken_out_of_the_cache_is_fetched(hub: Hub, tmp_path: Path) -> None:
    found = bring(tmp_path, f"hf://acme/bot@{A}")
    (found.folder / "tokenizer.json").resolve().unlink()
    hub.asked.clear()
    assert content(bring(tmp_path, f"hf://acme/bot@{A}").folder)["tokenizer.json"] == b"{}"
    assert hub.downloads() == ["tokenizer.json"]


def test_a_view_that_somebody_changed_is_made_again(hub: Hub, tmp_path: Path) -> None:
    found = bring(tmp_path, f"hf://acme/bot@{A}")
    (found.folder / "modeling.py").write_text("raise SystemExit", encoding="utf-8")
    (found.folder / "config.json").unlink()
    (found.folder / "config.json").write_text("[]", encoding="utf-8")
    again = bring(tmp_path, f"hf://acme/bot@{A}")
    assert content(again.folder) == {name: MODEL[name] for name in NEEDED}
    assert all(path.is_symlink() for path in again.folder.rglob("*") if path.is_file())
    assert len(list(again.folder.parent.iterdir())) == 1


def test_other_bytes_than_the_hub_lists_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.served["model.safetensors"] = b"\x03" + MODEL["model.safetensors"][1:]
    with pytest.raises(CannotRunError, match="'model.safetensors' arrived with other bytes than the hub says"):
        bring(tmp_path, f"hf://acme/bot@{A}")
    del hub.served["model.safetensors"]
    assert content(bring(tmp_path, f"hf://acme/bot@{A}").folder)["model.safetensors"] == MODEL["model.safetensors"]


def test_a_transfer_that_breaks_off_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.cut["model.safetensors"] = 1
    assert content(bring(tmp_path, f"hf://acme/bot@{A}").folder)["model.safetensors"] == MODEL["model.safetensors"]


@pytest.mark.parametrize("name", ["../../../escaped.json", "/tmp/escaped.json", "a/../../b.json", "a\\..\\b.json"])
def test_names_that_lead_elsewhere_are_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.names = (name,)
    with pytest.raises(CannotRunError, match="outside the model's folder"):
        bring(tmp_path, f"hf://acme/bot@{A}")
    assert hub.downloads() == []


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "the weights are pickled there"),
        ({"config.json": b"{}", "bot.gguf": b"x"}, "there is GGUF, and no safetensors"),
        ({"config.json": b"{}"}, r"there are no \*.safetensors"),
        ({"model.safetensors": b"x"}, "there is no config.json"),
    ],
)
def test_what_vllm_does_not_load_is_not_fetched(hub: Hub, tmp_path: Path, files: dict[str, bytes], what: str) -> None:
    hub.commits[A] = files
    with pytest.raises(CannotRunError, match=what):
        bring(tmp_path, f"hf://acme/bot@{A}")
    assert hub.downloads() == []


def test_a_lora_adapter_is_a_model_too(hub: Hub, tmp_path: Path) -> None:
    hub.commits[A] = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}
    assert set(content(bring(tmp_path, f"hf://acme/bot@{A}").folder)) == set(hub.commits[A])


@pytest.mark.parametrize(
    ("status", "code", "what", "fix"),
    [
        (401, "RepoNotFound", "there is no such model, or it is private", "HF_TOKEN"),
        (403, "GatedRepo", "the model is gated", "HF_TOKEN"),
        (404, "RevisionNotFound", "the model has no such revision", "file history"),
        (403, "", "the hub answers with HTTP 403", "HF_TOKEN"),
        (500, "", "the hub answers with HTTP 500", "later"),
    ],
)
def test_refusals_are_worded(hub: Hub, tmp_path: Path, status: int, code: str, what: str, fix: str) -> None:
    hub.status, hub.code = status, code
    with pytest.raises(CannotRunError) as caught:
        bring(tmp_path, f"hf://acme/bot@{A}")
    assert what in caught.value.what
    assert fix in str(caught.value.fix)


def test_a_hub_that_answers_about_another_commit_is_not_believed(hub: Hub, tmp_path: Path) -> None:
    hub.commits[B] = dict(MODEL)
    hub.refs[A] = B
    with pytest.raises(CannotRunError, match="the hub answers with another commit"):
        bring(tmp_path, f"hf://acme/bot@{A}")


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_SecretSecretSecret12345")
    told = Told()
    found = bring(tmp_path, "hf://acme/bot@main", told)
    assert set(hub.tokens) == {"Bearer hf_SecretSecretSecret12345"}
    kept = [path for path in (tmp_path / "llmgate").rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(b"hf_Secret" in path.read_bytes() for path in kept)
    assert "hf_Secret" not in str(told.lines) + str(found)


def test_a_disk_that_is_too_small_is_said_before(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="GB are to be fetched"):
        bring(tmp_path, f"hf://acme/bot@{A}", free=lambda _: 1000)
    assert hub.downloads() == []


def test_two_at_once_fetch_once(hub: Hub, tmp_path: Path) -> None:
    hub.gate = threading.Event()
    found: list[Snapshot] = []
    bringing = functools.partial(bring, tmp_path, f"hf://acme/bot@{A}")
    threads = [threading.Thread(target=lambda: found.append(bringing())) for _ in range(2)]
    for thread in threads:
        thread.start()
    while "model.safetensors" not in hub.downloads():
        threads[0].join(0.02)
    hub.gate.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == 2
    assert found[0] == found[1]
    assert sorted(hub.downloads()) == sorted(NEEDED)


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(CannotRunError, match=r"models of the hub need huggingface-hub.*pytest-llmgate\[data\]"):
        bring(tmp_path, f"hf://acme/bot@{A}")


def test_a_real_environment_decides_where_the_cache_is(tmp_path: Path) -> None:
    """HF_HOME and HF_ENDPOINT as users set them, in a process of its own."""
    import subprocess
    import sys

    script = (
        "from pathlib import Path\n"
        "from llmgate.generate.sources.hub import hub_snapshot\n"
        "from llmgate.generate.sources.place import read_place\n"
        "class Told:\n"
        "    def stage(self, text): print(text)\n"
        "    def count(self, *args): pass\n"
        "    def check(self): pass\n"
        f"hub_snapshot(read_place('hf://acme/bot@{A}'), root=Path('llmgate').absolute(), code=False, cache=None, progress=Told())\n"
    )
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    env.pop("HF_HUB_CACHE", None)
    snapshot = tmp_path / "home" / "hub" / "models--acme--bot" / "snapshots" / A
    snapshot.mkdir(parents=True)
    for name in NEEDED - {"additional_chat_templates/tool_use.jinja"}:
        (snapshot / name).write_bytes(MODEL[name])
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"hf://acme/bot@{A}: offline, taking commit {A} as the cache has it\n"
    assert (tmp_path / "llmgate" / "hub" / "acme--bot" / A / "bot" / "config.json").read_bytes() == MODEL["config.json"]
