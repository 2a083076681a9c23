"""Which files a file may name: those of its project, and no others.

Suites, datasets and configurations of other tools are written by others, and what they name is sent to an endpoint. So
what they name has to lie, symbolic links followed, in one of these folders or below:

- the folder of the file that names it (of the home directory, and what lies above it, only the files directly beside),
- its project: the nearest folder above with `.git`, else with what pytest takes for a project's root (`pyproject.toml`,
  `pytest.ini`, …), else the working folder if the file lies in it. The home directory, what lies above it, and folders
  that everybody may write to are never taken for a project,
- the folders that the user named by hand: `--allow-outside FOLDER`.

On the way down from there no name may begin with a dot: `.env`, `.git/config`. Only regular files are opened: a device
may never end, and a FIFO may never begin.

What users name on their own command line, or in the project's pyproject.toml, may lie anywhere.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import DatasetError, SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedReader
    from typing import Self

__all__ = ["Reach", "contained", "open_regular"]

REPOSITORY: Final = (".git",)
PROJECT: Final = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", "setup.py")
FOLDER: Final = os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_PATH", 0)
FILE: Final = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Without O_NONBLOCK, opening a FIFO would wait for somebody who writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The folders in which the files lie that a file may name.

    Attributes:
        folders: Their real paths.
        beside: One of which only the files directly in it may be named.
        allowed: Those that the user named by hand.
    """

    folders: tuple[Path, ...]
    beside: Path | None = None
    allowed: tuple[Path, ...] = ()

    @classmethod
    def of(cls, file: Path, allowed: Iterable[str | Path] = ()) -> Self:
        """What a file may name.

        Args:
            file: The suite, or the configuration of another tool.
            allowed: Further folders, named by the user.
        """
        folder = file.parent.resolve()
        own = cls(folders=(), allowed=tuple(Path(each).expanduser().resolve() for each in allowed)).below(folder)
        return own if own.beside else replace(own, folders=tuple(dict.fromkeys([folder, project_of(folder)])))

    def below(self, folder: Path) -> Self:
        """Nothing but one folder, and what the user named by hand."""
        folder = folder.resolve()
        home = _is_home(folder)
        return replace(self, folders=() if home else (folder,), beside=folder if home else None)

    @staticmethod
    def apart(folders: Iterable[Path]) -> list[Path]:
        """Folders without the home directory and what lies above it."""
        return [folder for folder in folders if not _is_home(folder)]

    def holder(self, real: Path) -> Path | None:
        """The folder from which a real path can be reached, None if there is none."""
        for folder in (*self.folders, *self.allowed):
            if real.is_relative_to(folder) and not any(name.startswith(".") for name in real.relative_to(folder).parts):
                return folder
        return self.beside if real.parent == self.beside and not real.name.startswith(".") else None


def project_of(folder: Path) -> Path:
    """The project to which a folder belongs; the folder itself if there is none.

    Args:
        folder: Its real path.
    """
    above = [each for each in (folder, *folder.parents) if _may_be_project(each)]
    for signs in (REPOSITORY, PROJECT):
        for each in above:
            if any(os.path.lexists(each / sign) for sign in signs):
                return each
    here = Path.cwd().resolve()
    return here if here in above else folder


def _may_be_project(folder: Path) -> bool:
    try:
        return not _is_home(folder) and not folder.stat().st_mode & stat.S_IWOTH
    except OSError:
        return False


def _is_home(folder: Path) -> bool:
    """Whether a folder is the home directory, or lies above it."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return folder == Path(folder.anchor) or (home != "~" and Path(home).resolve().is_relative_to(folder))


def contained(path: Path, reach: Reach, *, where: str, error: type[SuiteError | DatasetError] = SuiteError) -> Path:
    """The real path of a file that a file names.

    Whoever opens it gives `open_regular` the same reach: links may have changed by then.

    Args:
        path: As written, joined to the folder in which relative paths start.
        reach: What may be named.
        where: Where it is named.
        error: What a refusal is.

    Raises:
        SuiteError, DatasetError: If it lies elsewhere, or is no path.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError) as problem:
        raise error(f"{str(path)[:80]!r} is no path", where=where, fix="Check the path") from problem
    if reach.holder(real) is None:
        raise error(_outside(path, real, reach), where=where, fix=_advice(real))
    return real


def open_regular(path: Path, *, within: Reach | None = None, limit: int | None = None) -> BufferedReader:
    """Open a regular file to read its bytes.

    Args:
        path: The file; symbolic links are followed as far as `within` goes.
        within: Where it has to lie; None for a file that the user named.
        limit: The most bytes that it may have; it may grow after that was asked.

    Raises:
        OSError: If it cannot be opened, is no regular file, lies elsewhere, or is too large; `strerror` says which.
    """
    descriptor = os.open(path, FILE) if within is None else _open_within(path, within)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a device, a FIFO or a socket and no regular file", str(path))
        if limit is not None and status.st_size > limit:
            raise OSError(errno.EFBIG, f"it has {status.st_size} bytes, more than {limit}", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _open_within(path: Path, reach: Reach) -> int:
    """Open a file by its real path, name by name, where none may have become a link in the meantime."""
    real = path.resolve()
    folder = reach.holder(real)
    if folder is None:
        raise OSError(errno.EACCES, f"{_outside(path, real, reach)}. {_advice(real)}", str(path))
    *parents, name = real.relative_to(folder).parts or (".",)
    at = os.open(folder, FOLDER)
    try:
        for parent in parents:
            inner = os.open(parent, FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, FILE | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


def _outside(path: Path, real: Path, reach: Reach) -> str:
    leads = "" if path == real else f", which is {real},"
    folders = [*reach.folders, *filter(None, [reach.beside]), *reach.allowed]
    if any(map(real.is_relative_to, (*reach.folders, *reach.allowed))):
        return f"{path}{leads} is hidden: a name begins with a dot"
    return f"{path}{leads} lies outside {' and '.join(map(str, folders))}"


def _advice(real: Path) -> str:
    return f"Put it into the project, not hidden, or allow its folder by hand: --allow-outside {real.parent}"
