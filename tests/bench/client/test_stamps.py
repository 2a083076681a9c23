"""Time stamps of the kernel: earlier than those of a process that is late, and never believed blindly."""

from __future__ import annotations

import socket
import struct
import sys
import time

import pytest

from llmgate.bench.client.stamps import KernelClock, StampedSocket


def pair() -> tuple[socket.socket, StampedSocket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reading = StampedSocket(socket.AF_INET, socket.SOCK_STREAM)
        reading.ask_for_stamps()
        reading.connect(listening.getsockname())
        writing, _ = listening.accept()
    return writing, reading


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels give no such time stamp")
def test_bytes_that_are_read_late_have_the_time_at_which_they_came() -> None:
    clock = KernelClock()
    writing, reading = pair()
    time.sleep(0.05)  # the kernel begins a moment after it was asked
    before_s = time.perf_counter()
    writing.send(b"abc")
    sent_s = time.perf_counter()
    time.sleep(0.05)
    buffer = bytearray(10)
    assert (reading.recv_into(buffer), bytes(buffer[:3])) == (3, b"abc")
    read_s = time.perf_counter()
    arrived_s = clock.time_s(reading.stamp, after_s=before_s, before_s=read_s)
    assert arrived_s is not None
    assert before_s <= arrived_s <= sent_s + 0.02 < read_s
    assert not clock.was_set()
    clock.close()
    writing.close()
    assert reading.recv_into(memoryview(buffer), 2) == 0, "the end has no stamp, and is the end"
    reading.close()


def stamp(of_perf_counter_s: float, clock: KernelClock) -> bytes:
    nanoseconds = round(of_perf_counter_s * 1e9) + clock._ahead_ns
    return struct.pack("@ll", nanoseconds // 10**9, nanoseconds % 10**9)


def test_a_stamp_outside_of_what_can_be_is_none() -> None:
    clock = KernelClock()
    clock.close()
    now = time.perf_counter()
    assert clock.time_s(stamp(now - 0.5, clock), after_s=now - 1, before_s=now) == pytest.approx(now - 0.5, abs=1e-6)
    assert clock.time_s(stamp(now + 0.5, clock), after_s=now - 1, before_s=now) is None
    assert clock.time_s(stamp(now - 1.5, clock), after_s=now - 1, before_s=now) is None
    assert clock.time_s(b"", after_s=now - 1, before_s=now) is None
    assert clock.time_s(b"12345", after_s=now - 1, before_s=now) is None


def test_two_clocks_that_are_read_a_moment_apart_do_not_put_a_time_outside() -> None:
    clock = KernelClock()
    clock.close()
    now = time.perf_counter()
    assert clock.time_s(stamp(now + 2e-5, clock), after_s=now - 1, before_s=now) == now
    assert clock.time_s(stamp(now - 1 - 2e-5, clock), after_s=now - 1, before_s=now) == now - 1


def test_a_clock_that_somebody_sets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = KernelClock()
    clock.close()
    assert not clock.was_set()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10**9)
    assert clock.was_set()
