"""However the owner of a server ends, nothing of the server is left.

Every process of the fake server carries a mark in its environment. Its engine process lives in a session of its own
and ignores SIGTERM, as the worst of the real ones do.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from support import parent as parent_script
from support.servers import MARK, marked, spec, start_server, wait_until

from llmgate.generate.vllm import supervisor
from llmgate.generate.vllm.process import ServerProcess
from llmgate.generate.vllm.server import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("own_lock")


@contextmanager
def owner(
    how: str, folder: Path, *, mode: str = "ok", engine: str = "ends"
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A process of its own that owns a server; killed at the end if it still runs."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, parent_script.__file__, how, str(folder), mode, engine]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()
            process.stderr.read()


def ended(process: ServerProcess) -> bool:
    process.poll()
    return process.ended


def gone(folder: Path) -> bool:
    return wait_until(lambda: not marked(folder))


def test_stop_ends_all_processes(tmp_path: Path) -> None:
    with start_server(spec(tmp_path, engine="stays")) as server:
        assert len(marked(tmp_path)) == 3, "supervisor, API server, engine"
        assert server.alive()
    assert not marked(tmp_path)
    assert not server.alive()
    server.stop()


def test_an_exception_in_the_block_ends_all_processes(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in the block"), start_server(spec(tmp_path, engine="stays")):
        raise RuntimeError("in the block")
    assert not marked(tmp_path)


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    server = start_server(spec(tmp_path, mode="stubborn", engine="stays"))
    server.stop(grace_s=0.2)
    assert not marked(tmp_path)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The common folder for temporary files, with a name as short as it usually has."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def litter_of(server: int, temporary: Path) -> Path:
    """The shared memory of a server that has left its temporary files, too."""
    (scratch,) = temporary.glob("llmgate-vllm-*")
    assert sorted(path.name for path in scratch.iterdir()) == ["vllm_dist_1", "vllm_rpc_1"]
    lines = Path(f"/proc/{server}/maps").read_text(encoding="utf-8").splitlines()
    (shared,) = {Path(line.split()[-1]) for line in lines if "/dev/shm/" in line}
    assert shared.exists()
    return shared


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_temporary_files_and_shared_memory_go_with_the_owner(
    tmp_path: Path, temporary: Path, number: signal.Signals
) -> None:
    with owner("ready", tmp_path, mode="littering", engine="stays") as (process, said):
        shared = litter_of(int(said.readline().split()[1]), temporary)
        process.send_signal(number)
        process.wait(60)
        assert gone(tmp_path)
    assert wait_until(lambda: not shared.exists() and not any(temporary.iterdir()))


@pytest.mark.parametrize("killed", ["the server", "its supervisor"])
def test_temporary_files_and_shared_memory_go_although_somebody_was_killed(
    tmp_path: Path, temporary: Path, killed: str
) -> None:
    with start_server(spec(tmp_path, mode="littering", engine="stays")) as server:
        assert server.pid is not None
        shared = litter_of(server.pid, temporary)
        # Its supervisor looks a few times a second; before it has, nobody knows what a killed server shared.
        assert wait_until(lambda: server.alive() and str(shared) in server._process._shared)
        above = int(Path(f"/proc/{server.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        os.kill(server.pid if killed == "the server" else above, signal.SIGKILL)
        assert wait_until(lambda: not server.alive())
    assert not shared.exists()
    assert not any(temporary.iterdir())


def test_shared_memory_that_others_use_stays(tmp_path: Path) -> None:
    file = Path("/dev/shm") / f"llmgate-test-{os.getpid()}"
    file.write_bytes(bytes(4096))
    try:
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 4096):
            assert supervisor.shared_memory([os.getpid()]) >= {str(file)}
            supervisor.remove_shared([str(file), str(tmp_path / "absent")])
            assert file.exists()
        supervisor.remove_shared([str(file)])
        assert not file.exists()
    finally:
        file.unlink(missing_ok=True)


def test_a_temporary_folder_with_a_long_name_is_left_for_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a Unix socket has 107 bytes at most, and vLLM makes sockets there."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    with start_server(spec(tmp_path)) as server:
        assert server.pid is not None
        environ = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
        folders = [
            entry.partition(b"=")[2] for entry in environ if entry.startswith((b"TMPDIR=", b"VLLM_RPC_BASE_PATH="))
        ]
        assert len(set(folders)) == 1
        assert len(folders[0]) < 60
        assert not [*deep.iterdir()]
    assert not Path(os.fsdecode(folders[0])).exists()


def test_ending_twice_says_the_same(tmp_path: Path) -> None:
    server = start_server(spec(tmp_path))
    server.give_up("it is of no use")
    assert not marked(tmp_path)
    assert server.death_reason() == "it is of no use"
    server.stop()
    server.give_up("too late")
    assert server.death_reason() is None


def test_the_engine_of_a_server_that_died_is_ended_without_being_asked(tmp_path: Path) -> None:
    with start_server(spec(tmp_path, engine="stays")) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        assert gone(tmp_path)
        assert not server.alive()
        # The engine may have had time to complain of the lost connection.
        assert (server.death_reason() or "").startswith("the server was ended by signal 9 (Killed)")


def test_a_killed_supervisor_takes_nothing_with_it_that_stop_does_not_find(tmp_path: Path) -> None:
    with start_server(spec(tmp_path, engine="stays")) as server:
        assert server.pid is not None
        above = int(Path(f"/proc/{server.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        os.kill(above, signal.SIGKILL)
        assert wait_until(lambda: not server.alive())
        assert server.death_reason() == "the server's supervisor was ended (status -9)"
    assert not marked(tmp_path)


@pytest.mark.parametrize("how", ["ready", "launched"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_owner_leaves_nothing(tmp_path: Path, how: str, number: signal.Signals) -> None:
    with owner(how, tmp_path, mode="ok" if how == "ready" else "hang") as (process, said):
        assert said.readline().startswith(how)
        assert marked(tmp_path)
        process.send_signal(number)
        process.wait(60)
        assert gone(tmp_path)


def test_killing_the_owner_of_a_stubborn_server_leaves_nothing(tmp_path: Path) -> None:
    with owner("ready", tmp_path, mode="stubborn", engine="stays") as (process, said):
        said.readline()
        process.kill()
        process.wait(60)
        assert gone(tmp_path)


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_an_owner_that_fails_or_exits_leaves_nothing(tmp_path: Path, how: str) -> None:
    with owner(how, tmp_path) as (process, said):
        assert said.readline().startswith("ready")
        process.wait(60)
        assert gone(tmp_path)


def test_a_fork_that_keeps_the_pipe_open_does_not_keep_the_server(tmp_path: Path) -> None:
    with owner("fork", tmp_path) as (process, said):
        fork = int(said.readline().split()[2])
        process.kill()
        process.wait(60)
        assert gone(tmp_path)
        os.kill(fork, signal.SIGKILL)


def test_the_terminals_interrupt_does_not_reach_the_server(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as server:
        assert server.pid is not None
        assert os.getsid(server.pid) != os.getsid(0)
        assert os.getpgid(server.pid) == server.pid


def test_one_server_starts_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    steps: list[str] = []
    with launch(spec(tmp_path / "a", mode="hang")) as first:
        assert wait_until(lambda: first.pid is not None)
        with launch(spec(tmp_path / "b"), on_progress=steps.append) as second:
            time.sleep(0.6)
            assert second.pid is None
            assert second.alive()
            first.stop(grace_s=0.1)
            second.wait_ready()
    assert steps[0].startswith("vLLM: importing") or steps[0].startswith("vLLM: waiting for another server")


def test_a_ready_server_lets_the_next_one_start(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with start_server(spec(tmp_path / "a")), start_server(spec(tmp_path / "b")) as second:
        assert second.alive()


def test_waiting_for_another_server_is_shown_and_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    steps: list[str] = []
    with launch(spec(tmp_path / "a", mode="hang")) as first:
        assert wait_until(lambda: first.pid is not None)
        waiting = spec(tmp_path / "b", startup_timeout_s=1.0)
        with (
            launch(waiting, on_progress=steps.append) as second,
            pytest.raises(Exception, match=f"has been starting for more than 1 s.* process {os.getpid()}"),
        ):
            second.wait_ready()
    assert steps == ["vLLM: waiting for another server that is starting"]


def test_a_command_that_cannot_be_executed_ends_the_process(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = ServerProcess(
            [str(tmp_path / "absent")], env={}, log_fd=log.fileno(), lock=tmp_path / "lock", health=("127.0.0.1", 9)
        )
    assert wait_until(lambda: ended(process))
    assert "No such file" in str(process.failed)
    assert process.pid is None
    assert process.end(0.1) == ()


def test_a_program_that_cannot_be_executed_is_reported(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("wb")
    with log:
        command = [sys.executable, "-I", supervisor.__file__, "--parent", str(os.getpid()), "--grace", "1", "--"]
        done = subprocess.run(
            [*command, str(tmp_path / "absent")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, check=False
        )
    assert done.returncode == supervisor.CANNOT_EXECUTE
    assert b'"failed"' in done.stdout


@pytest.mark.parametrize(("code", "status"), [("0", 0), ("3", 3), ("__import__('os').abort()", 128 + signal.SIGABRT)])
def test_the_supervisor_exits_as_the_server_did(tmp_path: Path, code: str, status: int) -> None:
    command = [sys.executable, "-I", supervisor.__file__, "--parent", str(os.getpid()), "--grace", "1", "--"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [*command, sys.executable, "-c", f"raise SystemExit({code})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, MARK: str(tmp_path)},
        ) as process,
    ):
        assert process.wait(60) == status
    assert not marked(tmp_path)


def test_descendants_and_members_see_grandchildren() -> None:
    inner = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    code = f"{inner} print('up', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        below = supervisor.descendants(process.pid)
        assert len(below) == 1
        assert process.pid in supervisor.descendants(os.getpid())
        assert set(supervisor.members(process.pid)) == {process.pid, *below}
        os.killpg(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not supervisor.members(process.pid))
