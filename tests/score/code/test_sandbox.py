"""The sandbox, attacked: each limit by a program that breaks it where it is missing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmgate.errors import CannotRunError
from llmgate.score.code.sandbox import Ended, Isolation, SandboxLimits, run_python

SMALL = SandboxLimits(wall_s=5.0, memory_bytes=128 * 2**20, file_bytes=2**20, disk_bytes=4 * 2**20)


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only"),
    pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces"),
]


def run(code: str, limits: SandboxLimits = SMALL) -> Ended:
    return run_python([("<code>", code)], limits=limits)


def test_a_program_runs_and_its_end_is_seen() -> None:
    ended = run("import sys\nprint('ä', __name__)\nsys.stderr.write('b')")
    assert ended == Ended(finished=True, exit_code=0, output="ä __main__\nb", flooded=False, open_because=None)


def test_parts_share_a_module_and_the_last_one_has_to_end() -> None:
    parts = [("<code>", "def f():\n    return 1"), ("<tests>", "assert f() == 2, 'wrong'")]
    ended = run_python(parts, name="solution")
    assert (ended.finished, ended.exit_code) == (False, 1)
    assert 'File "<tests>", line 1' in ended.output
    assert ended.output.endswith("AssertionError: wrong\n")


@pytest.mark.parametrize(
    "code",
    ["import sys; sys.exit(0)", "import os; os._exit(0)", "exit()", "raise SystemExit", "quit()"],
)
def test_an_early_end_is_not_a_finish(code: str) -> None:
    assert not run_python([("<code>", code), ("<tests>", "assert False")], limits=SMALL).finished


def test_an_endless_loop_is_killed() -> None:
    ended = run("while True: pass", SandboxLimits(wall_s=1.0))
    assert not ended.finished
    assert ended.exit_code in {None, -signal.SIGXCPU, -signal.SIGKILL}


def test_sleeping_is_killed_by_the_clock() -> None:
    ended = run("import time\ntime.sleep(60)", SandboxLimits(wall_s=0.8))
    assert (ended.finished, ended.exit_code) == (False, None)


def test_processor_time_is_limited_for_good() -> None:
    code = "import resource\nprint(*resource.getrlimit(resource.RLIMIT_CPU))\n"
    raised = run(code + "resource.setrlimit(resource.RLIMIT_CPU, (100, 100))")
    assert "5 6\n" in raised.output
    assert "not allowed to raise maximum limit" in raised.output


def test_a_program_that_ignores_the_signal_is_killed_all_the_same() -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    ended = run(code, SandboxLimits(wall_s=1.0))
    assert not ended.finished
    assert ended.exit_code in {None, -signal.SIGKILL}


def test_memory_is_limited() -> None:
    ended = run("x = bytearray(10**9)")
    assert ended.exit_code == 1
    assert "MemoryError" in ended.output
    assert run("x = bytearray(10**7)").finished


FORK_BOMB = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except BlockingIOError:
    print("made", made)
"""


def test_a_fork_bomb_is_limited_and_leaves_nothing() -> None:
    ended = run(FORK_BOMB)
    assert ended.finished
    assert 5 < int(ended.output.split()[-1]) <= SMALL.processes


def test_a_fork_bomb_does_not_starve_the_sandbox_beside_it() -> None:
    needy = "import subprocess, sys\nprint(subprocess.run([sys.executable, '-I', '-S', '-c', 'print(7)']))"
    with ThreadPoolExecutor(2) as pool:
        bomb = pool.submit(run, FORK_BOMB + "\nimport time\ntime.sleep(1)")
        ended = [run(needy) for _ in range(3)]
        assert bomb.result().finished
    assert all(one.finished for one in ended)


def test_threads_count_as_processes() -> None:
    code = "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(2,)).start()"
    assert "can't start new thread" in run(code).output


ESCAPE = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(0.1)
        os._exit(0)
"""


def descendants() -> set[int]:
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and "json.load(file)" in (folder / "cmdline").read_text():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("more", ["", "time.sleep(60)"])
def test_no_orphan_is_left(more: str) -> None:
    before = descendants()
    run(ESCAPE + more, SandboxLimits(wall_s=0.8))
    assert descendants() <= before


def test_files_are_limited() -> None:
    big = run("with open('a', 'wb') as f:\n    for _ in range(100): f.write(bytes(100_000))")
    assert "File too large" in big.output
    many = run("for i in range(9):\n    open(str(i), 'wb').write(bytes(1_000_000))")
    assert "No space left" in many.output
    inodes = run("for i in range(99999): open(str(i), 'w').close()")
    assert "No space left" in inodes.output
    opened = run("kept = [open('/dev/null') for _ in range(999)]")
    assert "Too many open files" in opened.output


def test_output_is_bounded() -> None:
    ended = run("while True: print('x' * 10_000)")
    assert ended.flooded
    assert not ended.finished
    assert len(ended.output) <= 65_536


def test_there_is_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    code = (
        "import os, glob\n"
        "print(dict(os.environ))\n"
        "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
        "    print(open(path, 'rb').read())\n"
    )
    ended = run(code)
    assert ended.finished
    assert set(eval(ended.output)) <= {"LC_CTYPE"}


def test_there_is_no_input() -> None:
    assert "EOFError" in run("input()").output
    assert run("import sys\nassert sys.stdin.read() == ''").finished


def test_the_machines_files_are_not_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").write_text("hunter2")
    assert "FileNotFoundError" in run(f"open({str(tmp_path / 'secret')!r})").output
    assert "FileNotFoundError" in run("open('/etc/passwd')").output
    assert "FileNotFoundError" in run(f"open({__file__!r})").output
    assert run("import os\nassert os.listdir('.') == []").finished


def test_what_is_there_cannot_be_changed() -> None:
    code = "import os\nprint(os.__file__)\ntry: open(os.__file__, 'a')\nexcept OSError as e: print(e.errno)"
    assert run(code).output.split()[-1] in {"13", "30"}
    assert run("open('/usr/bin/evil', 'w')").exit_code == 1


def test_no_rights_are_left() -> None:
    code = (
        "import os\n"
        "assert os.getuid() != 0 and os.geteuid() != 0\n"
        "for attempt in (lambda: os.setuid(0), lambda: os.chroot('/'), lambda: os.setgroups([0])):\n"
        "    try: attempt()\n"
        "    except PermissionError: continue\n"
        "    raise SystemExit('had a right')\n"
    )
    assert run(code).finished


def test_other_processes_are_out_of_reach() -> None:
    code = (
        f"import os, signal\n"
        f"for pid in ({os.getpid()}, {os.getppid()}):\n"
        f"    try: os.kill(pid, signal.SIGKILL)\n"
        f"    except ProcessLookupError: continue\n"
        f"    raise SystemExit('reached it')\n"
        f"try: os.kill(1, signal.SIGKILL)\n"
        f"except PermissionError: pass\n"
    )
    assert run(code).finished


def test_there_is_no_network(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as file,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        path = tmp_path / "socket"
        file.bind(str(path))
        file.listen()
        path.chmod(0o777)
        name = f"\0llmgate-{os.getpid()}"
        abstract.bind(name)
        abstract.listen()
        code = (
            "import socket\n"
            "def attempt(family, address):\n"
            "    try: socket.socket(family).connect(address)\n"
            "    except OSError as error: print(type(error).__name__)\n"
            "    else: raise SystemExit('connected')\n"
            f"attempt(socket.AF_INET, ('127.0.0.1', {tcp.getsockname()[1]}))\n"
            "attempt(socket.AF_INET, ('8.8.8.8', 53))\n"
            f"attempt(socket.AF_UNIX, {str(path)!r})\n"
            f"attempt(socket.AF_UNIX, {name!r})\n"
        )
        ended = run(code)
        outside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert ended.finished, ended.output
    assert "connected" in outside.stderr


def test_file_descriptors_are_not_passed_on(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w+") as file:
        os.set_inheritable(file.fileno(), True)
        code = "import os\nprint([fd for fd in range(3, 4096) if os.path.exists(f'/dev/fd/{fd}') or not closed(fd)])"
        ended = run(
            "import os\n"
            "def closed(fd):\n"
            "    try: os.fstat(fd)\n"
            "    except OSError: return True\n"
            "    return False\n" + code
        )
    assert ended.finished
    assert len(eval(ended.output)) == 1  # the pipe that says how far the program came


def test_a_program_that_writes_to_every_descriptor_is_no_finish() -> None:
    code = (
        "import os\n"
        "for fd in range(3, 20):\n"
        "    try: os.write(fd, b'+{\"status\": 0}\\n')\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    )
    assert not run(code).finished


def test_a_program_that_was_killed_has_ended_badly() -> None:
    assert run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)").exit_code == -signal.SIGKILL


def test_a_crash_is_the_programs_own() -> None:
    assert run("import ctypes\nctypes.string_at(0)").exit_code == -signal.SIGSEGV
    assert "SyntaxError" in run("(" * 100_000).output or run("(" * 100_000).exit_code


def test_the_caller_may_be_one_of_many_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda i: run(f"print({i})"), range(8)))
    assert [int(one.output) for one in ended] == list(range(8))
    assert threading.active_count() < 50


def test_python_that_does_not_start_is_an_error() -> None:
    with pytest.raises(CannotRunError, match="did not start"):
        run("", SandboxLimits(memory_bytes=2**20))


def in_a_place_without_network_namespaces(code: str) -> subprocess.CompletedProcess[str]:
    script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_where_the_network_cannot_be_denied_nothing_runs() -> None:
    code = (
        "from llmgate.score.code.sandbox import *\n"
        "from llmgate.errors import CannotRunError\n"
        "try: print(run_python([('a', 'print(6 * 7)')]))\n"
        "except CannotRunError as error: print('refused', error)\n"
    )
    done = in_a_place_without_network_namespaces(code)
    if "max_net_namespaces" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    assert "refused the sandbox could not be set up: JailError: namespaces: unshare" in done.stdout
    assert "42" not in done.stdout


OPEN = """
from llmgate.score.code.sandbox import *
limits = SandboxLimits(wall_s=2.0, memory_bytes=128 * 2**20)
def run(code): return run_python([("<code>", code)], limits=limits, isolation=Isolation.NEVER)
"""


def unprivileged_python() -> list[str] | None:
    """A command for Python as a user without rights, who can read both Python and llmgate."""
    if os.geteuid():
        return [sys.executable]
    trial = "import os, sys, llmgate.score.code.sandbox; assert os.access(sys._base_executable, os.X_OK)"
    for python in (sys.executable, "/usr/bin/python3"):
        command = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", python]
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "-c", trial], capture_output=True, check=False).returncode == 0:
                return command
    return None


def test_without_isolation_the_other_limits_hold_and_no_orphan_is_left() -> None:
    command = unprivileged_python()
    if command is None:
        pytest.skip("no user without rights can run Python here")
    before = descendants()
    code = OPEN + (
        f"print(run({ESCAPE!r}).finished, run({ESCAPE + 'time.sleep(60)'!r}).exit_code)\n"
        f"print(run('import os; print(set(os.environ) <= {{\"LC_CTYPE\"}})').output)\n"
        f"print('MemoryError' in run('x = bytearray(10**9)').output)\n"
        f"print('made' in run({FORK_BOMB!r}).output)\n"
    )
    done = subprocess.run([*command, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout.split() == ["True", "None", "True", "True", "True"], done.stderr
    assert descendants() <= before


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_root_never_runs_code_as_root() -> None:
    code = "import os; print(os.getuid(), os.geteuid())"
    try:
        output = run_python([("<code>", code)], isolation=Isolation.NEVER).output
    except CannotRunError as error:
        output = f"refused: {error}"
    assert output.startswith("refused: ") or "0" not in output.split()
