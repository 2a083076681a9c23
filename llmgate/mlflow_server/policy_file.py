"""The policy file of a running server: read again when it has changed; while it cannot be read, all is refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.attest.policy import POLICY_VARIABLE, load_policy
from llmgate.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.attest.policy import RegistryPolicy

__all__ = ["PolicyFile", "policy_file"]

Stamp = tuple[int, int, int]


class PolicyFile:
    """A policy that follows its file.

    The files of keys are read together with it: a key that is exchanged under its old name counts once the policy's
    own file is touched.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.read: tuple[Stamp, RegistryPolicy] | None = None

    def current(self) -> RegistryPolicy:
        """The policy as the file is now.

        Raises:
            PolicyError: If the file cannot be read or is wrong, whatever it said before.
        """
        with self.lock:
            stamp = self.stamp()
            if self.read is None or self.read[0] != stamp:
                self.read = None
                # The stamp is older than the text: a change in between is noticed the next time.
                self.read = stamp, load_policy(self.path)
            return self.read[1]

    def stamp(self) -> Stamp:
        """What changes with the file: also when a mounted folder is exchanged as a whole."""
        try:
            facts = self.path.stat()
        except OSError as error:
            raise PolicyError(
                f"the registry's policy cannot be read ({error.strerror})", where=str(self.path)
            ) from error
        return facts.st_mtime_ns, facts.st_size, facts.st_ino


def policy_file(environ: Mapping[str, str]) -> PolicyFile:
    """The policy file that the environment names, read once.

    Raises:
        PolicyError: If none is named, or it cannot be used.
    """
    path = environ.get(POLICY_VARIABLE, "").strip()
    if not path:
        raise PolicyError("a gated registry does not start without a policy", fix=f"Name its file in {POLICY_VARIABLE}")
    file = PolicyFile(Path(path).absolute())
    file.current()
    return file
