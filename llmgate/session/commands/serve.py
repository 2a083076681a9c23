"""A server as the gate would start it, kept on until somebody ends it."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import LlmgateError, RecordError, ServerError
from llmgate.record.disk import private_folder
from llmgate.session.reach.known_secrets import clean_logs, errors_redacted, redactor
from llmgate.session.reach.target import open_target
from llmgate.session.run_folder import new_run_id
from llmgate.session.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.progress import Progress
    from llmgate.session.settings.typed import Settings

__all__ = ["Serving", "keep_on", "served", "serving_json", "serving_lines"]

LOG: Final = "server.log"
FOLDER: Final = Path(".llmgate") / "serve"
LOOK_S: Final = 0.5
"""Between two looks whether the server lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that is up.

    Attributes:
        target: What can be asked.
        log: Where its output goes.
    """

    target: Target
    log: Path


@contextmanager
def served(settings: Settings, *, folder: Path | None, progress: Progress) -> Iterator[Serving]:
    """Start the server that `llmgate run --model` would start, and end it with the block.

    Args:
        settings: The options, with a model.
        folder: Gets the server's log and the manifest of the weights; None for one that is removed again, unless the
            server died or did not start.
        progress: Told about the start.

    Raises:
        LlmgateError: If it does not start.
    """
    place = (folder if folder is not None else FOLDER / new_run_id()).absolute()
    try:
        private_folder(place)
    except OSError as error:
        raise RecordError(
            f"the folder cannot be made ({error.strerror})", where=str(place), fix="Choose another one with --logs"
        ) from error
    redact, log = redactor(settings), place / LOG
    keep = folder is not None
    try:
        with errors_redacted(redact), ExitStack() as closing:
            closing.callback(clean_logs, place, redact)
            with open_target(settings, log_path=log, progress=progress) as target:
                yield Serving(target=target, log=log)
    except LlmgateError:
        keep = keep or log.exists()
        raise
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
            for parent in (place.parent, place.parent.parent):
                with suppress(OSError):  # somebody else's lies there
                    parent.rmdir()


def keep_on(serving: Serving, *, over: threading.Event | None = None) -> None:
    """Wait until somebody interrupts, or the server dies.

    Args:
        serving: What is up.
        over: Ends the wait as well.

    Raises:
        ServerError: If the server died.
        KeyboardInterrupt: On Ctrl-C, and on SIGTERM where that was set up.
    """
    over = over or threading.Event()
    while not over.wait(LOOK_S):
        reason = serving.target.death()
        if reason is not None:
            raise ServerError(reason, where=f"vLLM server for {serving.target.model.name}", fix=f"See {serving.log}")


def serving_json(serving: Serving) -> dict[str, Any]:
    """For programs."""
    target = serving.target
    return {
        "url": target.endpoint.url,
        "models": list(_names(target)),
        "pid": target.pid,
        "engine": target.server.engine,
        "version": target.server.version,
        "flags": list(target.server.flags),
        "source": target.model.source,
        "weights_digest": target.model.weights_digest,
        "log": str(serving.log),
    }


def serving_lines(serving: Serving) -> Iterator[str]:
    """How to ask it, for people."""
    target = serving.target
    url, name = target.endpoint.url, target.endpoint.model
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "Hello"}]})
    # For a shell, in which a quotation mark ends a word.
    body = body.replace("'", "'\\''")
    version = f" {target.server.version}" if target.server.version else ""
    weights = f", weights {target.model.weights_digest[:12]}" if target.model.weights_digest else ""
    yield url
    yield ""
    yield f"vLLM{version} serves {', '.join(_names(target))}{weights}, to this machine only. Ask it:"
    yield f"  curl -s {url}/chat/completions -H 'Content-Type: application/json' \\"
    yield f"    -d '{body}'"
    yield f"  llmgate run suites/ --endpoint {url}"
    yield f"Its log is {serving.log}; Ctrl-C ends it."


def _names(target: Target) -> tuple[str, ...]:
    return tuple(dict.fromkeys((target.endpoint.model, *target.server.model_names, *target.beside)))
