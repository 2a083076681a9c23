"""Commands as root and as a user without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Identity"]

ROOT = Path(__file__).parents[2]

# Where the interpreter lies below a folder that others may not enter (a pyenv of root), that folder is covered, for this
# command only, by one that has nothing else in it.
_AS_NOBODY = """
set -e
closed=$1; seen=$2; uid=$3; shift 3
if [ -n "$closed" ]; then
  mount -t tmpfs -o mode=755 none /mnt
  mkdir /mnt/seen
  mount --bind "$seen" /mnt/seen
  mount -t tmpfs -o mode=755 none "$closed"
  mkdir -p "$seen"
  mount --bind /mnt/seen "$seen"
  umount /mnt/seen /mnt
fi
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups -- "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who carries out commands.

    Attributes:
        uid: The user, None for the one who runs the tests.
        folder: A folder of theirs, where commands run.
    """

    NOBODY: ClassVar[int] = 65_534

    uid: int | None
    folder: Path

    def python(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the interpreter of the tests, e.g. with `-c`, code; or `-m`, `llmgate`, arguments.

        Args:
            arguments: Of the interpreter.
            env: Added to an environment that holds no secret, only PATH, HOME and PYTHONPATH.
            timeout: In seconds.
        """
        paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": os.pathsep.join(paths)}
        return subprocess.run(
            [*self._become(), sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env={**base, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def _become(self) -> list[str]:
        if self.uid is None:
            return []
        closed = [folder for folder in reversed(Path(sys.base_prefix).parents) if not folder.stat().st_mode & 0o001]
        covered = [str(closed[0]), sys.base_prefix] if closed else ["", ""]
        return ["unshare", "--mount", "--", "sh", "-c", _AS_NOBODY, "sh", *covered, str(self.uid)]
