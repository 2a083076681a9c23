"""Starting, waiting, answering, dying: with a fake vLLM."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
from pathlib import Path

import pytest
from support.servers import marked, model_folder, spec, start_server, wait_until

from llmgate.errors import ServerError
from llmgate.generate.vllm.server import ServerPhase, ServerSpec, launch

pytestmark = pytest.mark.usefixtures("own_lock")


def test_a_ready_server_answers_and_is_identified(tmp_path: Path) -> None:
    steps: list[str] = []
    with start_server(spec(tmp_path, flags=("--dtype", "float32")), on_progress=steps.append) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        identity = server.identity()
        assert server.phase is ServerPhase.READY
        assert server.death_reason() is None
    assert identity.owned
    assert (identity.engine, identity.version) == ("vllm", "0.32.0+fake")
    assert identity.url == server.url == f"http://127.0.0.1:{server.port}"
    # Further variables depend on how many cores there are.
    at = identity.flags.index("--dtype")
    assert identity.flags[at : at + 3] == ("--dtype", "float32", "VLLM_CPU_KVCACHE_SPACE=2")
    assert [step.removeprefix("vLLM: ").partition(" after")[0] for step in steps] == [
        "importing vLLM",
        "loading weights",
        "compiling",
        "profiling memory and capturing graphs",
        "warming up",
        "ready",
    ]


def test_it_is_started_by_the_module_that_vllm_offers(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as server:
        argv = Path(f"/proc/{server.pid}/cmdline").read_text(encoding="utf-8").split("\0")
    assert argv[1:3] == ["-m", "vllm.entrypoints.launchers.api_server.entry"]


def test_a_chat_template_is_kept_as_it_was_and_recorded_by_its_content(tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ 1 }}", encoding="utf-8")
    with launch(spec(tmp_path, flags=("--chat-template", str(template)))) as server:
        template.write_text("{{ 2 }}", encoding="utf-8")
        server.wait_ready()
        argv = Path(f"/proc/{server.pid}/cmdline").read_text(encoding="utf-8").split("\0")
        flags = server.identity().flags
    kept = Path(argv[argv.index("--chat-template") + 1])
    assert kept.parent == tmp_path
    assert kept.name.startswith("server-chat-template-")
    assert kept.read_text(encoding="utf-8") == "{{ 1 }}"
    assert flags[flags.index("--chat-template") + 1] == f"sha256:{hashlib.sha256(b'{{ 1 }}').hexdigest()}"


def test_a_copy_beside_a_temporary_log_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    template = tmp_path / "t.jinja"
    template.write_text("{{ 1 }}", encoding="utf-8")
    with start_server(spec(tmp_path, flags=("--chat-template", str(template)), log_path=None)):
        assert list(tmp_path.glob("llmgate-vllm-*-chat-template-*.jinja"))
    assert not list(tmp_path.glob("llmgate-vllm-*"))


def test_a_draft_model_that_changes_while_it_is_loaded_ends_the_start(tmp_path: Path) -> None:
    draft = model_folder(tmp_path)
    server = launch(spec(tmp_path, flags=("--spec-model", str(draft), "--spec-tokens", "2")))
    with server:
        (draft / "model.safetensors").write_bytes(b"other")
        with pytest.raises(ServerError, match="was changed while the server started"):
            server.wait_ready()
    assert not marked(tmp_path)


def test_launching_does_not_wait(tmp_path: Path) -> None:
    with launch(spec(tmp_path, mode="hang")) as server:
        assert server.alive()
        assert server.phase is None
        assert wait_until(lambda: server.pid is not None)
    assert not marked(tmp_path)


def test_a_key_of_the_servers_own_is_used(tmp_path: Path) -> None:
    with start_server(spec(tmp_path, env={"VLLM_API_KEY": "k"})) as server:
        assert "k" not in " ".join(server.identity().flags).split()


def test_a_wildcard_address_is_served(tmp_path: Path) -> None:
    with start_server(spec(tmp_path, host="0.0.0.0")) as server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_proxy_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with start_server(spec(tmp_path)) as server:
        assert server.alive()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("gpu-memory", "the GPU ran out of memory"),
        ("flag", "does not know the flag --foo-bar"),
        ("silent", "ended with status 1"),
    ],
)
def test_a_death_while_starting_tells_cause_fix_and_log(tmp_path: Path, mode: str, reason: str) -> None:
    with pytest.raises(ServerError, match=reason) as error:
        start_server(spec(tmp_path, mode=mode))
    assert error.value.where == "vLLM server for fake"
    assert f"Last useful lines of {tmp_path / 'server.log'}:" in str(error.value)
    assert not marked(tmp_path)


def test_a_death_at_the_first_completion_tells_the_servers_own_words(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="the machine ran out of memory"):
        start_server(spec(tmp_path, mode="broken"))
    assert not marked(tmp_path)


def test_a_server_that_does_not_generate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="one-token completion with HTTP 400.*does not generate"):
        start_server(spec(tmp_path, mode="mute"))
    assert not marked(tmp_path)


def test_a_server_that_fails_and_lives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="a first request failed: HTTPException HTTP 500.*EngineDeadError"):
        start_server(spec(tmp_path, mode="failing"))
    assert not marked(tmp_path)


def test_a_server_with_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="it serves someone-else, and not fake"):
        start_server(spec(tmp_path, mode="stranger"))


def test_a_start_that_hangs_ends_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="not ready within 1 s; it was still warming up"):
        start_server(spec(tmp_path, mode="hang", startup_timeout_s=1.0))
    assert not marked(tmp_path)


def test_a_death_while_serving_is_noticed(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSEGV)
        assert wait_until(lambda: not server.alive())
        assert "signal 11" in str(server.death_reason())


def test_checks_come_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no such model folder"):
        launch(spec(tmp_path, model=str(tmp_path / "absent")))
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ServerError, match="safetensors"):
        launch(ServerSpec(model=str(tmp_path / "model"), served_name="m"))
    assert not (tmp_path / "server.log").exists()


def test_a_port_in_use_is_refused_before_the_start(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as first, pytest.raises(ServerError, match=f"port {first.port} cannot be used"):
        launch(spec(tmp_path, port=first.port))


def test_an_interpreter_without_vllm_is_refused_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no OpenAI API server"):
        launch(spec(tmp_path, env={"PYTHONPATH": str(empty_vllm(tmp_path))}))


def empty_vllm(folder: Path) -> Path:
    (folder / "path" / "vllm").mkdir(parents=True)
    (folder / "path" / "vllm" / "__init__.py").touch()
    return folder / "path"


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match="log cannot be written"):
        launch(spec(tmp_path, log_path=tmp_path / "file" / "server.log"))


def test_a_temporary_log_is_removed_after_success_and_kept_after_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with start_server(spec(tmp_path, log_path=None)) as server:
        assert server.log_path.exists()
    assert not server.log_path.exists()
    with pytest.raises(ServerError):
        start_server(spec(tmp_path, log_path=None, mode="weights"))
    assert len(list(tmp_path.glob("llmgate-vllm-*.log"))) == 1


def test_a_user_without_a_home_can_start_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with start_server(spec(tmp_path)) as server:
        assert server.alive()
    assert (tmp_path / f"llmgate-{os.getuid()}-starting.lock").exists()


def test_only_linux_is_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ServerError, match="on Linux only"):
        launch(spec(tmp_path))


def test_many_shards_do_not_flood_the_progress(tmp_path: Path) -> None:
    steps: list[str] = []
    with launch(spec(tmp_path, mode="hang", startup_timeout_s=2.0), on_progress=steps.append) as server:
        with server.log_path.open("a", encoding="utf-8") as log:
            for number in range(200):
                log.write(f"Loading safetensors checkpoint shards: 1% Completed | {number}/200 [00:00\r")
        with pytest.raises(ServerError):
            server.wait_ready()
    assert len(steps) <= 6
