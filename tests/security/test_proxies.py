"""Proxies of the environment: endpoints are asked directly, so no proxy sees a key, and none is measured."""

from __future__ import annotations

import os
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support.adversary import llmgate
from support.fake_server import FakeServer
from support.project import write_suite
from support.servers import model_folder, spec, start_server
from support.wire import Heard, listener, proxy

from llmgate.errors import EndpointError
from llmgate.generate.endpoint import probe
from llmgate.mlflow_quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-Zq8Lw3Vt7Rb2Ny5Kd9Hx4Mc6Pf1Gj0Ts"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ws_proxy", "socks_proxy")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "no_proxy", "NO_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LLMGATE_API_KEY", "LLMGATE_JUDGE_API_KEY", "LLMGATE_EMBED_API_KEY"):
        monkeypatch.setenv(name, KEY)
    return tmp_path


def behind(heard: Heard, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """An environment that wants everything to go through a proxy."""
    for name in names or NAMES:
        monkeypatch.setenv(name, heard.url)


def test_honest_the_proxy_passes_on_and_hears_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as server, proxy() as heard:
        behind(heard, monkeypatch)
        request = urllib.request.Request(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request) as reply:
            assert reply.status == 200
        assert heard.lines == [f"GET {server.url}/v1/models"]
        assert heard.keys == [f"Bearer {KEY}"] == server.keys


JUDGED = """\
  - {type: llm-rubric, value: polite, metric: tone}
  - {type: similar, value: "{{ word }}", threshold: 0.5, metric: near}
"""


@pytest.mark.parametrize("name", ["all of them", *NAMES])
def test_a_whole_run_passes_no_proxy(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GET and POST, of the model, of a judge and of embeddings."""
    write_suite(project, cases=1, gate="min: 0.1", extra=JUDGED)
    with listener(text='{"pass": true, "score": 1, "reason": "word-0"}') as server, proxy() as heard:
        behind(heard, monkeypatch, *([] if name == "all of them" else [name]))
        options = [f"--{which}endpoint={server.url}" for which in ("", "judge-", "embed-")]
        ending = llmgate("run", "words.yaml", "--retries", "0", *options)
    assert ending.verdict is not None, ending.output
    asked = {line.split()[1] for line in server.lines if line.startswith("POST")}
    assert asked == {"/v1/chat/completions", "/v1/embeddings"}
    assert {*server.keys} == {f"Bearer {KEY}"}
    assert heard.lines == []


def test_the_load_generator_measures_the_server_and_no_proxy(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(project, cases=4)
    with FakeServer(api_key=KEY) as server, proxy() as heard:
        behind(heard, monkeypatch)
        options = ["--requests", "6", "--in-flight", "2", "--max-tokens", "2", "--json"]
        llmgate("bench", "words.yaml", "--endpoint", server.url, *options)
    assert len(server.seen) >= 6
    assert heard.lines == []


def test_an_encrypted_endpoint_is_not_asked_through_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as server, proxy() as heard:
        behind(heard, monkeypatch)
        with pytest.raises(EndpointError):
            probe(server.url.replace("http:", "https:") + "/v1", api_key=KEY)
    assert heard.lines == server.lines == []


def test_who_cannot_reach_an_endpoint_is_told_that_no_proxy_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/v1"
    with pytest.raises(EndpointError) as error:
        probe(url)
    assert "proxy" not in str(error.value)
    monkeypatch.setenv("https_proxy", "http://me:a-password@proxy:3128")
    with pytest.raises(EndpointError, match="https_proxy.*endpoints are asked directly") as error:
        probe(url)
    assert "a-password" not in str(error.value)


@pytest.mark.usefixtures("own_lock")
def test_our_own_server_is_asked_directly(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as heard:
        behind(heard, monkeypatch)
        with start_server(spec(project, env={"VLLM_API_KEY": KEY})) as server:
            assert server.alive()
    assert heard.lines == []


@pytest.mark.usefixtures("own_lock")
def test_a_run_with_our_own_server_passes_no_proxy(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(project, cases=1)
    with proxy() as heard:
        behind(heard, monkeypatch)
        fake = str(spec(project).env["PYTHONPATH"])
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((fake, os.environ.get("PYTHONPATH", ""))))
        ending = llmgate("run", "words.yaml", "--model", model_folder(project))
    assert ending.verdict is not None, ending.output
    assert heard.lines == []


def test_no_netrc_gives_an_endpoint_a_password(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that heed proxies of the environment heed this file as well."""
    write_suite(project, cases=1)
    (project / "netrc").write_text("machine 127.0.0.1 login me password a-password\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(project / "netrc"))
    monkeypatch.delenv("LLMGATE_API_KEY")
    with listener() as server:
        llmgate("run", "words.yaml", "--endpoint", server.url)
    assert len(server.keys) > 2
    assert not any(server.keys)


@pytest.mark.parametrize("before", [None, "internal.example", "*"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_mlflow_asks_this_machine_directly(name: str, before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow asks through `requests`, which would give a proxy what goes to 127.0.0.1, and heeds no_proxy."""
    requests = pytest.importorskip("requests")
    if before is not None:
        monkeypatch.setenv(name, before)
    with listener() as server, proxy() as heard:
        behind(heard, monkeypatch)
        with quiet():
            for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
                assert requests.get(f"{url}/v1/models", timeout=10).status_code == 200
            bypassed = requests.utils.should_bypass_proxies
            assert bypassed("http://127.9.9.9/", no_proxy=None)
            assert bypassed("http://[::1]:5000/", no_proxy=None)
            assert bypassed("http://internal.example/", no_proxy=None) == (before is not None)
            assert bypassed("http://mlflow.example/", no_proxy=None) == (before == "*")
    assert heard.lines == []
    assert os.environ.get(name) == before
