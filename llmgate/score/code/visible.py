"""What a program in the sandbox sees of the machine: the files of the interpreter's own library, and no others.

They are found and not guessed: an interpreter of the same kind loads what it could load, and is asked where all of that
came from. So there is no shell, no other program, no package and no file of a user.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

from llmgate.errors import CannotRunError

__all__ = ["base_python", "visible_files"]

# Tk brings the libraries of a whole desktop along. That of threads in C is asked for when the first one ends.
_ASK = """\
import ctypes, json, os, sys, zoneinfo
library = [path for path in sys.path if os.path.exists(path)]
for folder in library:
    if os.path.isdir(folder) and os.path.basename(folder) == "lib-dynload":
        names = sorted(name for name in os.listdir(folder) if name.endswith(".so") and not name.startswith("_tkinter"))
    else:
        names = []
    for path in [*(os.path.join(folder, name) for name in names), "libgcc_s.so.1"]:
        try: ctypes.CDLL(path)
        except OSError: pass
class Loaded(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Loaded), ctypes.c_size_t, ctypes.c_void_p)
def visit(loaded, size, data):
    libraries.append(os.fsdecode(loaded.contents.name or b""))
    return 0
libraries = []
ctypes.CDLL(None).dl_iterate_phdr(visit, None)
print(json.dumps({"library": library, "libraries": libraries, "zones": zoneinfo.TZPATH}))
"""


def base_python() -> str:
    """The very interpreter: one of a virtual environment would look for its home inside the sandbox."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@functools.cache
def visible_files(python: str) -> tuple[str, ...]:
    """The files and folders that an interpreter needs, folders before what lies in them.

    Raises:
        CannotRunError: If the interpreter does not say.
    """
    command = [python, "-I", "-S", "-B", "-c", _ASK]
    try:
        done = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=60, check=True)  # noqa: S603
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CannotRunError(f"the interpreter does not say which files it needs: {error}") from None
    libraries = [_without_dots(path) for path in found["libraries"] if path.startswith("/")]
    zones = [path for path in found["zones"] if Path(path).is_dir()]
    others = [*libraries, python, "/etc/ld.so.cache", *zones[:1]]
    wanted = sorted({*found["library"], *(path for path in others if Path(path).exists())})
    folders = tuple(path + "/" for path in found["library"] if Path(path).is_dir())
    return tuple(path for path in wanted if not path.startswith(folders))


def _without_dots(path: str) -> str:
    """A path as the loader asks for it, without `..`, where that leads to the same file."""
    plain = Path(os.path.normpath(path))
    return str(plain if plain.exists() and plain.samefile(path) else plain.resolve())
