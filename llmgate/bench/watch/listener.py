"""Which process of this machine listens where requests go.

For servers that llmgate did not start. Found through the kernel's table of sockets (`/proc/net/tcp`, `tcp6`) and the
open files of processes, which only their user and root may see. Nothing is found, and so the server's share of the
processors is not known, where it runs in a container of which only the forwarded port is here.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmgate.bench.watch.processes import PROC, processes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmgate.bench.watch.processes import Process

__all__ = ["find_server", "here"]

LISTEN = "0A"
INIT = 1
FORWARDERS = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "kubectl", "ssh", "socat"})
"""Programs that listen for a server which runs elsewhere, in a container or on another machine."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def here(host: str) -> frozenset[Address]:
    """The addresses of a host, if they are this machine's; empty if it is another one, or not known.

    An address is this machine's if a socket can be bound to it. Nothing is sent.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return frozenset()
    own = set()
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as trial:
                trial.bind(address)
        except OSError:
            continue
        own.add(_plain(ipaddress.ip_address(str(address[0]).partition("%")[0])))
    return frozenset(own)


def find_server(url: str, proc: Path = PROC) -> int | None:
    """The process that serves a URL, None if it does not run here or cannot be seen.

    Several processes may hold one listening socket: a server and its workers. Then it is the one from which the others
    descend, or else their common parent. A parent that holds no such socket is not taken beyond that: a shell, a test
    run or a container's first process has other children, and what they do must not pass for the server's work. Nor is
    it this process or one above it: then client and server could not be told apart.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = here(parts.hostname or "")
    if not addresses:
        return None
    try:
        holders = _holders(proc, _inodes(proc, addresses, port))
        table = processes(proc)
    except OSError:
        return None
    known = {pid for pid in holders if pid in table}
    own = {os.getpid(), *_above(os.getpid(), table)}
    if not known or known & own or any(table[pid].name in FORWARDERS for pid in known):
        return None
    return _eldest(known, table)


def _eldest(holders: set[int], table: Mapping[int, Process]) -> int | None:
    """The one from which all descend, or their common parent unless that is this process or one above it."""
    top = {pid for pid in holders if not any(parent in holders for parent in _above(pid, table))}
    if len(top) == 1:
        return top.pop()
    parents = {table[pid].parent for pid in top}
    if len(parents) == 1 and not parents & {INIT, os.getpid(), *_above(os.getpid(), table)}:
        return parents.pop()
    return None


def _above(pid: int, table: Mapping[int, Process]) -> list[int]:
    """Parent, its parent, and so on."""
    line: list[int] = []
    while pid in table and table[pid].parent in table and table[pid].parent not in line:
        pid = table[pid].parent
        line.append(pid)
    return line


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _address(text: str) -> Address:
    """An address as the kernel's tables have it: words of 32 bits in the machine's own order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return _plain(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def _inodes(proc: Path, addresses: frozenset[Address], port: int) -> set[str]:
    """The listening sockets at a port; one that is bound to the very address goes before one bound to all."""
    exact, wild = set(), set()
    for name in ("tcp", "tcp6"):
        table = proc / "net" / name
        if not table.exists():  # a kernel without IPv6
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            host, _, number = fields[1].partition(":")
            if fields[3] != LISTEN or int(number, 16) != port:
                continue
            address = _address(host)
            if address in addresses:
                exact.add(fields[9])
            elif address.is_unspecified:
                wild.add(fields[9])
    return exact or wild


def _holders(proc: Path, inodes: set[str]) -> set[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return set()
    return {int(entry.name) for entry in os.scandir(proc) if entry.name.isdecimal() and _holds(entry.path, wanted)}


def _holds(folder: str, wanted: set[str]) -> bool:
    try:
        with os.scandir(f"{folder}/fd") as files:
            return any(_target(file.path) in wanted for file in files)
    except OSError:
        return False


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - `socket:[1]` is no path
    except OSError:
        return ""
