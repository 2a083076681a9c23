"""What errors of the hub's client mean, in our words. Credentials never stand in them: the client keeps them to itself."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, LlmgateError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["calls"]

TRANSPORTS: Final = frozenset({"httpx", "httpx2", "httpcore", "requests", "urllib3"})
"""Whose errors say that the network failed; which one it is depends on the client's version."""
TOKEN: Final = "Check the name, or set HF_TOKEN to a token that may read it"  # noqa: S105 - words for a reader
NETWORK: Final = (
    "Check the network and HF_ENDPOINT. With HF_HUB_OFFLINE=1 what the cache holds is taken, a branch as it was then"
)


@contextlib.contextmanager
def calls(where: str) -> Iterator[None]:
    """Calls of the hub's client.

    Args:
        where: What is asked about.

    Raises:
        CannotRunError: For whatever the hub, the network or the disk says.
    """
    try:
        yield
    except LlmgateError:
        raise
    except Exception as error:
        meant = _meaning(error)
        if meant is None:
            raise
        raise CannotRunError(meant[0], where=where, fix=meant[1]) from error


def _meaning(error: Exception) -> tuple[str, str] | None:
    """What happened, and what to do; None for a mistake of ours."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    for kind, what, fix in (
        ("GatedRepoError", "the model is gated", "Accept its terms on the hub, and set HF_TOKEN"),
        ("RevisionNotFoundError", "the model has no such revision", "Copy a commit from the hub's file history"),
        ("RepositoryNotFoundError", "there is no such model, or it is private", TOKEN),
        ("OfflineModeIsEnabled", "HF_HUB_OFFLINE is set, and the cache does not have it", NETWORK),
        ("LocalEntryNotFoundError", "the hub cannot be reached", NETWORK),
        ("EntryNotFoundError", "the commit lacks a file that the hub lists", "Try again"),
    ):
        if isinstance(error, getattr(errors, kind)):
            return what, fix
    if isinstance(error, errors.HfHubHTTPError):
        status = getattr(getattr(error, "response", None), "status_code", None)
        fix = TOKEN if status in {401, 403} else "Try again later"
        return f"the hub answers with HTTP {status}", fix
    if any(kind.__module__.partition(".")[0] in TRANSPORTS for kind in type(error).__mro__):
        return f"the hub cannot be reached ({type(error).__name__})", NETWORK
    if isinstance(error, OSError | ValueError):
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"the hub's client says: {first[:300]}", "Try again, or look at HF_HOME"
    return None
