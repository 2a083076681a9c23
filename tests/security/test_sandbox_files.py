"""What a program in the sandbox sees of the machine. It was all of /usr and /bin: 170,000 files, shells, set-user-ID
programs, every package of the interpreter; now it is the interpreter's own library."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.sandboxed import escape

from llmgate.score.code.visible import base_python, visible_files

if TYPE_CHECKING:
    from support.identity import Identity

WALK = """
import os, stat, sys
files, odd, programs = 0, [], []
for folder, _, names in os.walk("/"):
    for name in names:
        path = os.path.join(folder, name)
        try: mode = os.stat(path).st_mode
        except OSError: continue
        files += 1
        if mode & (stat.S_ISUID | stat.S_ISGID): odd.append(path)
        if "/bin/" in path or "/sbin/" in path: programs.append(path)
top = set(os.listdir("/")) - {"dev", "etc", "lib", "lib64", "usr", "work", sys.prefix.split("/")[1]}
print(odd, [os.path.realpath(path) for path in programs] == [sys.executable], sorted(top), sep="\\n")
print([name for name in ("sh", "bash", "perl") if any(path.endswith("/" + name) for path in programs)])
print([path for path in ("/etc/passwd", "/etc/hostname", "/proc/self", "/sys/kernel", "/tmp", "/home") if os.path.exists(path)])
print(os.listdir("/etc"), sorted(os.listdir("/dev")), files < 20_000)
print(os.uname().nodename)
"""
PACKAGES = """
import importlib.util, os, sys
found = [path for path in sys.path if os.path.isdir(path) for path in [os.path.join(path, "site-packages")] if os.path.isdir(path)]
try: print([os.listdir(path) for path in found if os.listdir(path)])
except PermissionError: print([])
sys.path += found
print(importlib.util.find_spec("pip"), importlib.util.find_spec("pytest"))
"""
EXECUTE = """
import ctypes, mmap, os, shutil, sys
shutil.copy(sys.executable, "copy")
os.chmod("copy", 0o755)
for attempt in (
    lambda: os.execv("./copy", ["copy", "-c", "print(7)"]),
    lambda: mmap.mmap(os.open("copy", os.O_RDWR), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    lambda: os.execv("/bin/sh", ["sh", "-c", "true"]),
):
    try: attempt()
    except OSError as error: print(type(error).__name__)
    else: print("done")
"""
LIBRARY = """
import bz2, ctypes, decimal, hashlib, json, lzma, math, multiprocessing, random, re, sqlite3, ssl, unittest, uuid, zlib
assert hashlib.sha256(b"").hexdigest()[:4] == "e3b0" and hashlib.scrypt(b"", salt=b"", n=2, r=1, p=1)
assert sqlite3.connect("a.db").execute("select 1").fetchone() == (1,)
assert zlib.decompress(zlib.compress(b"a")) == b"a" and random.SystemRandom().random() < 1
print("ä", open("/dev/null", "w").write("x"), len(open("/dev/urandom", "rb").read(4)))
"""


@pytest.mark.parametrize("without", [["landlock"], []], ids=["namespaces", "landlock"])
def test_only_the_interpreters_own_library_is_there(identity: Identity, without: list[str]) -> None:
    walk, packages, execute, library = escape(identity, [WALK, PACKAGES, EXECUTE, LIBRARY], without=without)
    if without:
        assert walk.lines == ["[]", "True", "[]", "[]", "[]", "['ld.so.cache'] ['null', 'urandom'] True", "sandbox"]
    else:
        assert "PermissionError" in walk.output
    assert packages.lines == ["[]", "None None"]
    assert execute.lines[:2] == ["PermissionError"] * 2
    assert execute.lines[2] in {"FileNotFoundError", "PermissionError"}
    assert library.lines == ["ä 1 4"]


def pythons() -> list[str]:
    """This interpreter, Debian's, and those that pyenv and uv keep, as far as they are here and can read llmgate."""
    homes = [Path(base_python()).parents[2], Path.home() / ".local/share/uv/python"]
    found = [base_python(), "/usr/bin/python3", *(str(path) for home in homes for path in home.glob("*/bin/python3"))]
    trial = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); import llmgate.score.code.sandbox"
    newest = {os.path.realpath(path): path for path in found if Path(path).exists()}
    return [
        path
        for path in newest.values()
        if subprocess.run([path, "-c", trial], capture_output=True, check=False).returncode == 0
    ]


@pytest.mark.parametrize("python", pythons())
def test_every_kind_of_interpreter_runs(python: str) -> None:
    code = (
        "from llmgate.score.code.sandbox import run_python\n"
        f"ended = run_python([('<code>', {LIBRARY!r})])\n"
        "print(ended.finished, ended.output)"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("True ä 1 4"), done.stdout + done.stderr


def test_a_virtual_environment_and_its_packages_are_not_shown(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    code = "from llmgate.score.code.visible import *; print(*visible_files(base_python()), sep='\\n')"
    python = tmp_path / "env" / "bin" / "python"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == list(visible_files(base_python()))
    assert str(tmp_path) not in done.stdout


def test_files_are_found_and_not_guessed() -> None:
    found = visible_files(base_python())
    assert base_python() in found
    assert any("libc.so" in path or "musl" in path for path in found)
    assert any(path.endswith(f"python{sys.version_info[0]}.{sys.version_info[1]}") for path in found)
    assert not {"/", "/usr", "/bin", "/etc", "/lib", "/usr/lib"} & set(found)
    assert all(Path(path).exists() for path in found)
