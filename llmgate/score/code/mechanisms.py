"""Which mechanisms hold a program in the sandbox, what each stops, and what follows where one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["MECHANISMS", "NONE_KNOWN", "Mechanism", "Mechanisms", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanisms:
    """What held a program.

    Attributes:
        in_force: Name of each mechanism, and by which means.
        missing: Name of each that the machine does not have, and why.
    """

    in_force: Mapping[str, str]
    missing: Mapping[str, str]


NONE_KNOWN: Final = Mechanisms(in_force={}, missing={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """A mechanism of the kernel.

    Attributes:
        name: As `Mechanisms` has it.
        stops: What a program cannot do because of it.
        without: What follows where it is missing.
    """

    name: str
    stops: str
    without: str


MECHANISMS: Final = (
    Mechanism(
        name="namespaces",
        stops="the network, other processes, other files than the interpreter's own library, the machine's name",
        without="an error, nothing runs; with `network: unsandboxed` it runs and the finding says `not isolated`",
    ),
    Mechanism(
        name="seccomp",
        stops="shared memory, memory files, keys, io_uring, userfaultfd, new namespaces, mounts, ptrace, bpf, other"
        " sockets than UNIX and IP, system calls of other architectures",
        without="an error, nothing runs; with `network: unsandboxed` it runs without",
    ),
    Mechanism(
        name="memory",
        stops="more memory than `memory_mb` in all processes together",
        without="a watch adds up what the processes hold, every 50 ms, and kills them above the limit; what is taken"
        " between two looks, and what sockets and pipes keep, it does not see",
    ),
    Mechanism(
        name="landlock",
        stops="the same files, sockets and signals once more; without namespaces it is all that keeps a program from"
        " the user's files",
        without="namespaces and file rights hold alone",
    ),
    Mechanism(
        name="keyring",
        stops="use of the keys in the session's keyring",
        without="seccomp still denies the calls that read keys",
    ),
)


def table(held: Mechanisms) -> str:
    """The mechanisms as a table of Markdown: what each stops, by which means here, and what follows without it."""
    rows = [
        f"| {one.name} | {one.stops} | {held.in_force.get(one.name) or 'missing: ' + held.missing.get(one.name, '?')}"
        f" | {one.without} |"
        for one in MECHANISMS
    ]
    return "\n".join(["| mechanism | what it stops | here | where it is missing |", "|---|---|---|---|", *rows]) + "\n"
