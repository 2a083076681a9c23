"""Models in object stores, through fsspec: `s3://` with s3fs, `gs://` with gcsfs.

Keys are found as these libraries find them (AWS_…, ~/.aws, roles; GOOGLE_APPLICATION_CREDENTIALS, metadata servers), and
never stand in the place. An endpoint of one's own is named by AWS_ENDPOINT_URL, an emulator by STORAGE_EMULATOR_HOST.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import os
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, LlmgateError
from llmgate.generate.sources.listing import BrokenOffError, RemoteFile
from llmgate.record.redaction import Redactor, environment_secrets, url_secrets
from llmgate.record.weights_files import counted_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from llmgate.generate.sources.place import ObjectFolder
    from llmgate.generate.sources.work import Counter

__all__ = ["ObjectStore"]

LIBRARY: Final = {"s3": ("s3fs", "S3FileSystem"), "gs": ("gcsfs", "GCSFileSystem")}
OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    # botocore's own defaults are a minute to connect, and four more attempts at that.
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3}}},
    "gs": {"requests_timeout": 60},
}
KEYS: Final = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE) or a role; FSSPEC_S3_ANON=true for a "
    "public bucket",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud; FSSPEC_GS_TOKEN=anon for a public bucket",
}
ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "FSSPEC_S3_ENDPOINT_URL", "STORAGE_EMULATOR_HOST")
LIBRARIES: Final = frozenset({"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs", "urllib3"})
PIECE_BYTES: Final = 8 << 20
NO_KEYS: Final = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"})
UNREACHABLE: Final = frozenset(
    {"EndpointConnectionError", "ConnectTimeoutError", "ClientConnectorError", "ConnectionRefusedError", "ClientError"}
)


class ObjectStore:
    """The objects below a prefix.

    Args:
        place: Which.
        system: A file system of fsspec's; by default the library's for the scheme.

    Raises:
        CannotRunError: If the library is not installed.
    """

    def __init__(self, place: ObjectFolder, *, system: Any = None) -> None:
        self.where, self._place = place.text, place
        endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
        self._redact = Redactor(tuple(sorted(environment_secrets() | url_secrets((endpoint,)))))
        self.identity = "\n".join((place.scheme, self._redact.text(endpoint), place.root))
        self._system = self._opened() if system is None else system

    def _opened(self) -> Any:
        scheme = self._place.scheme
        module, name = LIBRARY[scheme]
        try:
            # The same instance would be handed out again, with what it knew of the bucket then.
            kind: Any = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise CannotRunError(
                f"{scheme}:// needs {module}", where=self.where, fix=f"pip install 'pytest-llmgate[{scheme}]'"
            ) from error
        return self._asking(
            lambda: kind(skip_instance_cache=True, use_listings_cache=False, **OPTIONS[scheme]), writing=False
        )

    def listing(self) -> Sequence[RemoteFile]:
        """The objects that count for a model's identity; notes and traces of training are left where they are."""
        root = self._place.root

        def find() -> Any:
            self._system.invalidate_cache()
            return self._system.find(root, detail=True)

        found = []
        for key, facts in self._asking(find, writing=False).items():
            path = str(key).removeprefix("/")
            if not path.startswith(f"{root}/"):
                raise CannotRunError(f"the store lists {ascii(path)[:100]}, which lies elsewhere", where=self.where)
            size = facts.get("size")
            if facts.get("type") == "directory" or (path.endswith("/") and not size):
                continue  # what consoles make for a folder
            found.append(
                RemoteFile(
                    path=path.removeprefix(f"{root}/"),
                    size=None if size is None else int(size),
                    tag=str(facts.get("ETag") or facts.get("etag") or facts.get("generation") or "").strip('"'),
                    md5=_hexadecimal(facts.get("md5Hash")),
                )
            )
        counted = frozenset(counted_names([file.path for file in found]))
        return [file for file in found if file.path in counted]

    def fetch(self, file: RemoteFile, into: Path, counter: Counter) -> None:
        """Write an object's bytes, piece by piece."""
        key = f"{self._place.root}/{file.path}"

        def copy() -> None:
            with self._system.open(key, "rb", block_size=PIECE_BYTES, cache_type="readahead") as source, into.open("xb") as out:
                while piece := source.read(PIECE_BYTES):
                    counter.add(len(piece))
                    out.write(piece)

        self._asking(copy, writing=True)

    def _asking(self, ask: Callable[[], Any], *, writing: bool) -> Any:
        """Ask the store something, its errors worded as ours.

        Args:
            ask: What.
            writing: Whether bytes are on their way to the disk: then an error may be worth another attempt.
        """
        try:
            return ask()
        except LlmgateError:
            raise
        except Exception as error:
            if not self._is_theirs(error):
                raise
            raise self._meaning(error, writing=writing) from error

    @staticmethod
    def _is_theirs(error: Exception) -> bool:
        modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
        return isinstance(error, OSError | ValueError | TimeoutError) or bool(modules & LIBRARIES)

    def _meaning(self, error: Exception, *, writing: bool) -> CannotRunError:
        kinds = {kind.__name__ for each in (error, error.__cause__) if each is not None for kind in type(each).__mro__}
        first = self._redact.text((str(error).strip() or type(error).__name__).splitlines()[0])[:300]
        if getattr(error, "errno", None) is not None and isinstance(error, OSError) and writing and _of_disk(error):
            raise error
        if kinds & NO_KEYS:
            return CannotRunError("there are no credentials for this bucket", where=self.where, fix=KEYS[self._place.scheme])
        if "PermissionError" in kinds:
            return CannotRunError(
                f"the bucket may not be read ({first})", where=self.where, fix=KEYS[self._place.scheme]
            )
        if "FileNotFoundError" in kinds:
            return CannotRunError("there is no such bucket or object", where=self.where, fix="Check the place")
        if kinds & UNREACHABLE and not writing:
            return CannotRunError(
                f"the store cannot be reached ({first})",
                where=self.where,
                fix="Check the network, AWS_ENDPOINT_URL and AWS_REGION" if self._place.scheme == "s3" else "Check the network",
            )
        problem = BrokenOffError if writing else CannotRunError
        return problem(f"the store says: {first}", where=self.where, fix="Try again")


def _of_disk(error: OSError) -> bool:
    """Whether it is this machine's disk that failed."""
    return error.filename is not None or error.strerror in {os.strerror(28), os.strerror(122)}


def _hexadecimal(base64_md5: object) -> str:
    """Google's way to write an MD5 → 32 hexadecimal digits; "" where there is none."""
    try:
        digest = base64.b64decode(str(base64_md5), validate=True) if base64_md5 else b""
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == 16 else ""
