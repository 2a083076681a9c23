"""The filter of system calls, held against libseccomp: its numbers, and its answers for every call."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import struct
import tempfile
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.score.code.seccomp import ARCHITECTURES, DENIED, FIRST_UNKNOWN, filter_for

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
NEW_NAMESPACE = 0x7E020000
TOKENS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
RESOLVED_LATER = {"quotactl_fd", "memfd_secret", "process_madvise"}

library: ctypes.CDLL | None = None
with contextlib.suppress(OSError):
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
needs_libseccomp = pytest.mark.skipif(library is None, reason="libseccomp is not installed")


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


NOT_EQUAL, MASKED_EQUAL = 1, 7


def answer(program: bytes, architecture: int, number: int, argument: int = 0) -> int:
    """What a filter says of a call: an interpreter of the few instructions that such filters are made of."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    code = list(struct.iter_unpack("=HBBI", program))
    place, value = 0, 0
    while True:
        operation, if_true, if_false, operand = code[place]
        place += 1
        match operation:
            case 0x20:
                value = struct.unpack_from("=I", data, operand)[0]
            case 0x15 | 0x25 | 0x35 | 0x45:
                tests = {
                    0x15: value == operand,
                    0x25: value > operand,
                    0x35: value >= operand,
                    0x45: bool(value & operand),
                }
                place += if_true if tests[operation] else if_false
            case 0x05:
                place += operand
            case 0x54:
                value &= operand
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(hex(operation))


def number_of(name: str, architecture: int) -> int:
    assert library is not None
    return int(library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(architecture), name.encode()))


@cache
def by_libseccomp(machine: str) -> bytes:
    """The same rules, written down by libseccomp."""
    assert library is not None
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    native = ctypes.c_uint32(library.seccomp_arch_native()).value
    if native != TOKENS[machine]:
        assert library.seccomp_arch_add(context, ctypes.c_uint32(TOKENS[machine])) == 0
        assert library.seccomp_arch_remove(context, ctypes.c_uint32(native)) == 0

    def rule(action: int, name: str, *comparisons: Comparison) -> None:
        # Rules name calls by their numbers here, whatever they are for.
        number = number_of(name, native)
        array = (Comparison * len(comparisons))(*comparisons)
        result = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array)
        assert result == 0, (name, result)

    for name, numbers in DENIED.items():
        if numbers[list(ARCHITECTURES).index(machine)] is not None and name not in RESOLVED_LATER:
            rule(ERROR | errno.EPERM, name)
    rule(ERROR | errno.ENOSYS, "clone3")
    for bit in range(32):
        if NEW_NAMESPACE >> bit & 1:
            rule(ERROR | errno.EPERM, "clone", Comparison(0, MASKED_EQUAL, 1 << bit, 1 << bit))
    with tempfile.TemporaryFile() as file:
        assert library.seccomp_export_bpf(context, file.fileno()) == 0
        file.seek(0)
        return file.read()


@needs_libseccomp
@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_numbers(machine: str) -> None:
    column = list(ARCHITECTURES).index(machine)
    assert ARCHITECTURES == TOKENS
    wrong = {
        name: (numbers[column], known)
        for name, numbers in DENIED.items()
        if (known := number_of(name, TOKENS[machine])) != (-1 if numbers[column] is None else numbers[column])
        and not (known < 0 and (numbers[column] is None or name in RESOLVED_LATER))
    }
    assert wrong == {}


@needs_libseccomp
@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_answers(machine: str) -> None:
    ours, theirs, token = filter_for(machine), by_libseccomp(machine), TOKENS[machine]
    sockets = {number_of(name, token) for name in ("socket", "socketpair")}
    later = {DENIED[name][list(ARCHITECTURES).index(machine)] for name in RESOLVED_LATER}
    arguments = [0, 17, NEW_NAMESPACE, *(1 << bit | 17 for bit in range(32))]
    for number in set(range(FIRST_UNKNOWN)) - sockets - later:
        for argument in arguments if number == number_of("clone", token) else [0]:
            assert answer(ours, token, number, argument) == answer(theirs, token, number, argument), (number, argument)
    for late in later:
        assert answer(ours, token, late or 0) == ERROR | errno.EPERM
    if machine == "x86_64":
        # Theirs kills the thread, ours the process.
        assert (answer(ours, token, 0x40000000 + 39), answer(theirs, token, 0x40000000 + 39)) == (KILL, 0)


@pytest.mark.parametrize(("machine", "numbers"), [("x86_64", (41, 53)), ("aarch64", (198, 199))])
def test_sockets(machine: str, numbers: tuple[int, int]) -> None:
    for number in numbers:
        allowed = {
            family for family in range(64) if answer(filter_for(machine), TOKENS[machine], number, family) == ALLOW
        }
        assert allowed == {1, 2, 10}
        assert answer(filter_for(machine), TOKENS[machine], number, 40) == ERROR | errno.EAFNOSUPPORT


@given(st.sampled_from(sorted(ARCHITECTURES)), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_another_architecture_is_killed_and_unknown_calls_do_not_exist(machine: str, other: int, number: int) -> None:
    if other != TOKENS[machine]:
        assert answer(filter_for(machine), other, number) == KILL
    if number >= FIRST_UNKNOWN:
        assert answer(filter_for(machine), TOKENS[machine], number) in {ERROR | errno.ENOSYS, KILL}


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        filter_for("riscv64")
