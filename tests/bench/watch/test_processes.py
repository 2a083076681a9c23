"""Processes, their trees, and what trees have used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_proc import FakeProc
from support.servers import spec, start_server, wait_until

from llmgate.bench.watch.processes import Process, below, is_supervisor, processes, server_tree, used_s
from llmgate.generate.vllm import supervisor


def of(pid: int, *, parent: int = 1, own_s: float = 0.0, reaped_s: float = 0.0, started: int = 0) -> Process:
    return Process(pid=pid, parent=parent, group=pid, started=started, own_s=own_s, reaped_s=reaped_s, name=f"p{pid}")


def table(*found: Process) -> dict[int, Process]:
    return {process.pid: process for process in found}


def test_this_process() -> None:
    me = processes()[os.getpid()]
    assert (me.parent, me.group) == (os.getppid(), os.getpgrp())
    assert me.name == Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    times = os.times()
    assert me.own_s == pytest.approx(times.user + times.system, abs=0.1)
    assert me.reaped_s == pytest.approx(times.children_user + times.children_system, abs=0.1)


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(7, parent=1, own=250, reaped=50, started=99, name="a) S (b 1")
    found = processes(tmp_path)[7]
    assert (found.name, found.parent, found.own_s, found.reaped_s, found.started) == ("a) S (b 1", 1, 2.5, 0.5, 99)


def test_who_ends_while_being_read_is_left_out(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(7, parent=1)
    proc.process(8, parent=7)
    proc.gone(8)
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "stat").write_text("", encoding="utf-8")
    assert set(processes(tmp_path)) == {7}


def test_a_tree() -> None:
    found = table(of(1), of(10), of(11, parent=10), of(12, parent=11), of(13, parent=10), of(20))
    assert below(found, [10]) == {10, 11, 12, 13}
    assert below(found, [10], barred=lambda pid: pid == 11) == {10, 13}
    assert below(found, [99]) == set()


def test_a_server_has_its_group_and_what_its_supervisor_took_in(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(2, parent=1, name="shell")
    proc.process(50, parent=2, name="server")
    proc.process(51, parent=50, name="engine")
    proc.process(52, parent=1, group=50, name="orphan")
    proc.process(60, parent=2, name="another")
    assert server_tree(processes(tmp_path), 50, tmp_path) == {50, 51, 52}
    assert server_tree(processes(tmp_path), 99, tmp_path) == set()
    proc.process(2, parent=1, cmdline=("/usr/bin/python", "-I", str(supervisor.__file__), "--parent", "1"))
    assert is_supervisor(2, tmp_path)
    assert not is_supervisor(50, tmp_path)
    assert server_tree(processes(tmp_path), 50, tmp_path) == {2, 50, 51, 60}


def test_a_process_that_does_not_lead_its_group_does_not_bring_it(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    proc.process(50, parent=2, group=2, name="server")
    proc.process(60, parent=2, group=2, name="another")
    assert server_tree(processes(tmp_path), 50, tmp_path) == {50}


def test_what_a_tree_used() -> None:
    before = table(of(1, own_s=5.0), of(2, own_s=3.0), of(3, own_s=1.0, reaped_s=1.0))
    after = table(of(1, own_s=6.0), of(2, own_s=3.5), of(3, own_s=1.0, reaped_s=1.5), of(4, own_s=0.25))
    assert used_s(before, after, then={1, 2, 3}, now={1, 2, 3, 4}) == pytest.approx(1.0 + 0.5 + 0.5 + 0.25)


def test_who_ends_is_found_at_who_waited_for_it() -> None:
    before = table(of(1, own_s=5.0), of(2, own_s=3.0, reaped_s=1.0))
    # 2 went on for 0.5 s, ended, and gave all of its 4.5 s to 1; 9 came and went with 0.25 s.
    after = table(of(1, own_s=5.0, reaped_s=4.75))
    assert used_s(before, after, then={1, 2}, now={1}) == pytest.approx(0.75)


def test_who_ends_unnoticed_takes_nothing_from_the_others() -> None:
    before, after = table(of(1, own_s=5.0), of(2, own_s=100.0)), table(of(1, own_s=6.0))
    assert used_s(before, after, then={1, 2}, now={1}) == pytest.approx(1.0)


def test_a_number_that_is_used_again_is_another_process() -> None:
    before, after = table(of(1), of(2, own_s=3.0, started=5)), table(of(1, reaped_s=3.5), of(2, own_s=0.5, started=9))
    assert used_s(before, after, then={1, 2}, now={1, 2}) == pytest.approx(1.0)


def test_a_supervised_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # not the lock of servers that really start
    with start_server(spec(tmp_path)) as server:
        assert server.pid is not None
        found = processes()
        tree = server_tree(found, server.pid)
        assert server.pid in tree
        assert os.getpid() not in tree
        above = found[server.pid].parent
        assert above in tree
        assert is_supervisor(above)
        assert tree == below(found, (above,))


def test_a_child_that_outlives_its_parent_stays_in_the_group() -> None:
    inner = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    outer = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {inner!r}]); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", outer], process_group=0) as server:
        try:

            def orphans() -> list[Process]:
                found = processes()
                return [
                    p for p in found.values() if p.group == server.pid and p.parent not in {server.pid, os.getpid()}
                ]

            assert wait_until(lambda: any(p.parent not in processes() or p.parent == 1 for p in orphans()))
            assert {p.pid for p in orphans()} <= server_tree(processes(), server.pid)
        finally:
            os.killpg(server.pid, 9)
