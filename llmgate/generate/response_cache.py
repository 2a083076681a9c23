"""Answers kept from earlier runs, by everything that they depend on. For work on suites: no verdict rests on one.

The key is the SHA-256 of the request with all its fields, which generation it is (suite, case and repeat: two equal
requests of a run are two answers), and who answers: the weights, or the deployment of an endpoint, the engine, its
version and flags, the machine. So a candidate is never given what a champion said, unless both are the same model on
the same server.

An entry is a file that its owner alone can read, written whole, with the SHA-256 of its content in its first line.
Whatever is not such an entry is none. A time is never kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError

from llmgate.errors import UsageError
from llmgate.generate.finish import FinishRule, nothing_expected
from llmgate.record.answered_by import OUR_CACHE, AnsweredBy, answers_for
from llmgate.record.disk import FILE_MODE, private_folder, read_regular
from llmgate.record.redaction import NO_SECRETS
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from llmgate.errors import EndpointError
    from llmgate.generate.chat import Chat
    from llmgate.generate.client import Endpoint
    from llmgate.generate.replies import Vectors
    from llmgate.record.manifest import Hardware, ModelIdentity, ServerIdentity
    from llmgate.record.redaction import Redactor
    from llmgate.record.schema import Failure

__all__ = ["CachedChat", "ResponseCache", "answerer"]

FORM: Final = 1
"""Of entries and keys; another one finds nothing of this one."""
MOST_BYTES: Final = 1 << 30
"""Of all entries; when there are more, those that were used least recently go."""
MOST_ENTRY_BYTES: Final = 4 << 20
KEPT_SHARE: Final = 0.9
"""Of the bound, after the oldest have gone: else one would have to go for each that comes."""
SUFFIX: Final = ".answer"
DRAFT: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
ANSWER: Final = TypeAdapter(Generation)


def answerer(model: ModelIdentity, server: ServerIdentity, hardware: Hardware) -> str:
    """Who answers, as a text that is another one for another model, engine, flag or machine.

    Raises:
        UsageError: If nothing tells this model from another one.
    """
    known = model.weights_digest if server.owned else server.deployment
    if not known:
        raise UsageError(
            f"nothing tells {model.name} from another model of that name, so its answers cannot be kept apart",
            where="--cache",
            fix="Name a model folder, or say what the endpoint serves with --deployment LABEL",
        )
    # All of it but what may differ for one model: where its folder lies, what a registry calls it, the port.
    told = asdict(replace(model, registry_uri=None, binding=None, source="" if server.owned else model.source))
    served = asdict(replace(server, url="" if server.owned else server.url, unconfirmed="", replicas=()))
    machine = asdict(hardware) if server.owned else {}
    return json.dumps([FORM, told, served, machine], sort_keys=True)


class ResponseCache:
    """A folder of answers.

    Args:
        folder: Where they lie; made if it is not there.
        most_bytes: Of all entries.
        redact: An answer that holds a secret is not kept.

    Raises:
        UsageError: If the folder cannot be used, or others may write to it: they could choose the answers.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, redact: Redactor = NO_SECRETS) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._redact = redact
        _make(folder)
        self._bytes = sum(size for _, size, _ in self._entries())

    def get(self, key: str) -> Generation | None:
        """The answer under a key, None if there is none that is whole."""
        path = self._path(key)
        try:
            data = read_regular(path, limit=MOST_ENTRY_BYTES)
        except OSError:
            return None
        digest, newline, content = data.partition(b"\n")
        if not newline or digest.decode("ascii", "replace") != _digest(key, content):
            return None
        try:
            answer = ANSWER.validate_json(content)
        except ValidationError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return answer

    def put(self, key: str, answer: Generation) -> bool:
        """Keep an answer.

        Returns:
            Whether it is kept: not if it holds a secret, is too large, or the disk is full.
        """
        content = ANSWER.dump_json(replace(answer, latency_s=0.0, attempts=1))
        entry = _digest(key, content).encode() + b"\n" + content
        if len(entry) > MOST_ENTRY_BYTES or self._redact(content) != content:
            return False
        path = self._path(key)
        draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                # Without fsync: a damaged entry is none, and 200,000 waits for a disk are many.
                with os.fdopen(os.open(draft, DRAFT, FILE_MODE), "wb") as file:
                    file.write(entry)
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError:
            return False
        self._bytes += len(entry)
        if self._bytes > self._most_bytes:
            self._shrink()
        return True

    def _shrink(self) -> None:
        """Remove what was used least recently, and drafts that somebody left."""
        entries = sorted(self._entries())
        self._bytes = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if self._bytes <= KEPT_SHARE * self._most_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                self._bytes -= size

    def _entries(self) -> list[tuple[float, int, Path]]:
        """When each was used, its size, and where it is."""
        found = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):  # Somebody else may have removed it meanwhile.
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found.append((status.st_mtime, status.st_size, path))
        return found

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"


def _make(folder: Path) -> None:
    try:
        private_folder(folder)
        status = folder.stat()
    except OSError as error:
        raise UsageError(
            f"the folder cannot be used ({error.strerror})", where=f"--cache {folder}", fix="Choose another one"
        ) from error
    if status.st_mode & 0o022 or status.st_uid != os.geteuid():
        raise UsageError(
            "others may write to this folder, and could choose the answers",
            where=f"--cache {folder}",
            fix="Choose one of your own, or chmod 700",
        )


def _digest(key: str, content: bytes) -> str:
    """Of an entry, with its key: one that lies in the place of another is none."""
    return hashlib.sha256(key.encode() + b"\n" + content).hexdigest()


class CachedChat:
    """Answers out of a cache, and asks for what is not in it. It never gives a time, and never keeps a failure.

    Args:
        chat: Asks the model.
        cache: The answers.
        who: Who answers; see `answerer`.

    Attributes:
        found: Answers that came out of the cache.
        kept: Answers that were put into it.
    """

    def __init__(self, chat: Chat, cache: ResponseCache, *, who: str) -> None:
        self._chat, self._cache, self._who = chat, cache, who
        self.found = 0
        self.kept = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where the model is asked."""
        return self._chat.endpoint

    @property
    def stopped(self) -> EndpointError | None:
        """As of the model's client."""
        return self._chat.stopped

    @property
    def gave_up(self) -> bool:
        """As of the model's client."""
        return self._chat.gave_up

    async def ask(
        self, body: Mapping[str, Any], *, expected: Callable[[str], bool] = nothing_expected, which: str = ""
    ) -> Generation | Failure:
        """The answer to a request: one that is there, or a fresh one. What has no name among equals is always asked."""
        if not which:
            return await self._chat.ask(body, expected=expected)
        key = self._key(body, which)
        rule = FinishRule(further=self.endpoint.finish_reasons, expected=expected)
        known = self._cache.get(key)
        # An answer that counted by another rule is asked for again.
        if known is not None and rule.fault(known.finish_reason) is None:
            self.found += 1
            return replace(known, answered_by=replace(known.answered_by or AnsweredBy(), cached=OUR_CACHE))
        answer = await self._chat.ask(body, expected=expected, which=which)
        if isinstance(answer, Generation) and self._own(answer) and self._cache.put(key, answer):
            self.kept += 1
        return answer

    def _own(self, answer: Generation) -> bool:
        """Whether nothing says that another model gave the answer, or a cache on the way."""
        by, endpoint = answer.answered_by, self.endpoint
        if by is None:
            return True
        named = not by.model or answers_for(by.model, endpoint.model, endpoint.names)
        return named and not by.cached and not by.rerouted

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        """Vectors of texts, always fresh."""
        return await self._chat.embed(texts)

    def _key(self, body: Mapping[str, Any], which: str) -> str:
        asked = json.dumps([self._who, self.endpoint.model, body, which], sort_keys=True, allow_nan=False)
        return hashlib.sha256(asked.encode()).hexdigest()
