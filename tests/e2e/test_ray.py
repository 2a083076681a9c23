"""`--on ray`: a real Ray cluster of two nodes on this machine, of which workers and a whole node are killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support.extras import extra_python
from support.fake_server import FakeServer
from support.project import answer_right, write_suite
from support.ray_cluster import RayCluster, ray_cluster
from support.servers import FAKE_VLLM, MARK, command_line, marked, model_folder, wait_until

from llmgate.record.run.content_digest import content_digest
from llmgate.record.run.journal import read_journal
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

CASES = 60
KEY = "sk-ray-0123456789abcdefghij"


@pytest.fixture(scope="module")
def python() -> Path:
    return extra_python("ray")


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("mark"))


@pytest.fixture(scope="module")
def cluster(python: Path, mark: str) -> Iterator[RayCluster]:
    # Starts of servers wait for each other on a machine, by a lock in the cache; these wait for no real one.
    env = {"PYTHONPATH": str(FAKE_VLLM), "FAKE_VLLM": "ok", MARK: mark, "XDG_CACHE_HOME": mark}
    with ray_cluster(python, env=env) as running:
        yield running


def start(
    python: Path, folder: Path, cluster: RayCluster, *args: str, on: str = "ray", key: str = ""
) -> subprocess.Popen[str]:
    """`llmgate run` over the cluster, from the environment that has Ray."""
    env = {**os.environ, "RAY_ADDRESS": cluster.address, "no_proxy": "127.0.0.1", "LLMGATE_API_KEY": key}
    if on != "ray":
        del env["RAY_ADDRESS"]
    command = [str(python.with_name("llmgate")), "run", "words.yaml", "--on", on, *args]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=300)
    return said


def alone(python: Path, folder: Path, server: FakeServer) -> str:
    """The content digest of a run on one machine."""
    command = [str(python.with_name("llmgate")), "run", "words.yaml", "--endpoint", server.url, "--out", "alone"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return content_digest(load_record(folder / "alone"))


def lines(folder: Path) -> int:
    return len((folder / "journal.jsonl").read_bytes().splitlines())


def test_a_run_over_two_nodes_is_the_run_of_one_machine(python: Path, cluster: RayCluster, tmp_path: Path) -> None:
    write_suite(tmp_path, cases=CASES)
    with FakeServer(answer=answer_right) as server:
        said = ended(run := start(python, tmp_path, cluster, "--endpoint", server.url, "--out", "run"))
        assert run.returncode == 0, said
        assert "2 nodes, 4 tasks at once" in said
        assert len(server.seen) == CASES
        assert content_digest(load_record(tmp_path / "run")) == alone(python, tmp_path, server)
    assert lines(tmp_path / "run") == CASES


def test_a_worker_that_is_killed_costs_nothing(python: Path, cluster: RayCluster, tmp_path: Path) -> None:
    write_suite(tmp_path, cases=CASES)
    with FakeServer(answer=answer_right, ttft_s=1.0) as server:
        args = ("--endpoint", server.url, "--out", "run", "--concurrency", "8")
        run = start(python, tmp_path, cluster, *args)
        assert wait_until(lambda: len(server.seen) >= 8), ended(run)
        killed = cluster.workers(cluster.second)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        said = ended(run)
        assert run.returncode == 0, said
        assert len(server.seen) > CASES  # what the dead had in hand was asked again
        server.ttft_s = 0.0
        assert content_digest(load_record(tmp_path / "run")) == alone(python, tmp_path, server)
    assert lines(tmp_path / "run") == CASES  # and recorded once


def test_a_run_whose_driver_was_killed_goes_on(python: Path, cluster: RayCluster, tmp_path: Path) -> None:
    write_suite(tmp_path, cases=CASES)
    with FakeServer(answer=answer_right, ttft_s=0.5) as server:
        args = ("--endpoint", server.url, "--out", "run", "--concurrency", "8")
        run = start(python, tmp_path, cluster, *args)
        assert wait_until(lambda: (tmp_path / "run" / "journal.jsonl").exists() and lines(tmp_path / "run") >= 16)
        run.kill()
        ended(run)
        kept = len(read_journal(tmp_path / "run" / "journal.jsonl").results)
        assert 16 <= kept < CASES
        server.ttft_s = 0.0
        asked = settled(server)
        said = ended(again := start(python, tmp_path, cluster, *args, "--resume"))
        assert again.returncode == 0, said
        assert len(server.seen) - asked == CASES - kept
        assert content_digest(load_record(tmp_path / "run")) == alone(python, tmp_path, server)


def settled(server: FakeServer) -> int:
    """How much was asked, once nothing more comes."""
    seen = -1
    while seen != len(server.seen):
        seen = len(server.seen)
        time.sleep(1.5)
    return seen


def test_the_key_reaches_the_endpoint_and_no_file(python: Path, cluster: RayCluster, tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    with FakeServer(answer=answer_right, api_key=KEY) as server:
        said = ended(run := start(python, tmp_path, cluster, "--endpoint", server.url, "--out", "run", key=KEY))
        assert run.returncode == 0, said
        wrong = "sk-ray-9876543210zyxwvutsrq"
        said = ended(run := start(python, tmp_path, cluster, "--endpoint", server.url, "--out", "bad", key=wrong))
        assert run.returncode == 4, said
    # Ray's own files: logs, what its tools show of tasks, sessions.
    for path in (*cluster.folder.rglob("*"), *tmp_path.rglob("*")):
        if path.is_file():
            held = path.read_bytes()
            assert KEY.encode() not in held, path
            assert wrong.encode() not in held, path


def test_a_ray_client_from_elsewhere_will_do(python: Path, cluster: RayCluster, tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    with FakeServer(answer=answer_right) as server:
        said = ended(
            run := start(python, tmp_path, cluster, "--endpoint", server.url, "--out", "run", on=cluster.client)
        )
        assert run.returncode == 0, said
        assert content_digest(load_record(tmp_path / "run")) == alone(python, tmp_path, server)


def test_each_node_serves_the_model_that_the_record_names(
    python: Path, cluster: RayCluster, tmp_path: Path, mark: str
) -> None:
    write_suite(tmp_path, cases=20, gate="min: 0.01")
    model = model_folder(tmp_path)
    args = ("--model", str(model), "--server-python", str(python), "--out", "run")
    run = start(python, tmp_path, cluster, *args)
    said = ended(run)
    assert (tmp_path / "run" / "seal.json").exists(), said
    record = load_record(tmp_path / "run")
    assert "starting 2 servers on 2 nodes" in said
    assert len(record.results) == 20
    assert record.manifest.server.owned
    assert record.manifest.model.weights_digest
    assert wait_until(lambda: not engines(mark)), "a server outlived its run"


def engines(mark: str) -> list[int]:
    """Servers of the fake vLLM that live."""
    return [pid for pid in marked(mark) if b"vllm" in command_line(pid)]


@pytest.mark.parametrize("on", ["ray", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_an_error(python: Path, tmp_path: Path, on: str) -> None:
    write_suite(tmp_path, cases=4)
    env = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    command = [str(python.with_name("llmgate")), "run", "words.yaml", "--on", on, "--endpoint", "http://127.0.0.1:1"]
    done = subprocess.run(
        [*command, "--out", "run"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4
    assert "there is no Ray cluster to be had" in done.stderr
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_z_a_node_that_is_killed_costs_nothing(python: Path, cluster: RayCluster, tmp_path: Path) -> None:
    """The last one: the cluster has one node afterwards."""
    write_suite(tmp_path, cases=CASES)
    with FakeServer(answer=answer_right, ttft_s=1.0) as server:
        args = ("--endpoint", server.url, "--out", "run", "--concurrency", "8")
        run = start(python, tmp_path, cluster, *args)
        assert wait_until(lambda: len(server.seen) >= 8), ended(run)
        os.kill(cluster.raylet(cluster.second), signal.SIGKILL)
        said = ended(run)
        assert run.returncode == 0, said
        server.ttft_s = 0.0
        assert content_digest(load_record(tmp_path / "run")) == alone(python, tmp_path, server)
    assert lines(tmp_path / "run") == CASES
