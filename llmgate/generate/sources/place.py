"""What a user writes where a model is to be named → the place that is meant. Pure: nothing is looked up.

DIR                          a folder; OWNER/NAME of the hub is told from it when it is looked up
hf://OWNER/NAME@REVISION     a model on the Hugging Face hub, at a commit, a tag or a branch
models:/NAME/VERSION         a version in MLflow's registry
models:/NAME@ALIAS           the version that holds an alias now
runs:/RUN_ID/PATH            a model that a run of MLflow logged
s3://BUCKET/FOLDER           objects below a prefix
gs://BUCKET/FOLDER           the same at Google
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from llmgate.errors import UsageError, did_you_mean

__all__ = [
    "FORMS",
    "Folder",
    "HubModel",
    "ObjectFolder",
    "Place",
    "RegisteredModel",
    "RunModel",
    "is_hub_name",
    "is_plain",
    "read_place",
]

FORMS: Final = {
    "hf": "hf://OWNER/NAME@REVISION",
    "models": "models:/NAME/VERSION or models:/NAME@ALIAS",
    "runs": "runs:/RUN_ID/PATH",
    "s3": "s3://BUCKET/FOLDER",
    "gs": "gs://BUCKET/FOLDER",
    "file": "file:///FOLDER",
}
"""By scheme, how a place is written."""
SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?=/)(?P<rest>.*)", re.DOTALL)
HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
REVISION: Final = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)*", re.ASCII)
COMMIT: Final = re.compile(r"[0-9a-f]{40}")
MODEL_NAME: Final = re.compile(r"[^/@:?#\x00-\x1f\x7f]+")
VERSION: Final = re.compile(r"[1-9]\d*", re.ASCII)
ALIAS: Final = re.compile(r"[\w-]+", re.ASCII)
RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
STAGES: Final = frozenset({"latest", "none", "staging", "production", "archived"})
LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of this machine, or OWNER/NAME of the hub where there is no such folder.

    Attributes:
        text: As the user wrote it.
        path: The path in it.
    """

    text: str
    path: str

    @property
    def name(self) -> str:
        """What the model is called where nobody says otherwise; "" where only the file system knows: `.`, `..`, `/`."""
        return PurePosixPath(self.path).name.replace("..", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model on the Hugging Face hub.

    Attributes:
        text: As the user wrote it.
        repo: OWNER/NAME.
        revision: Commit, tag or branch; None where the user named none, which is the branch `main`.
    """

    text: str
    repo: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """What the model is called where nobody says otherwise."""
        return self.repo.rpartition("/")[2]

    @property
    def commit(self) -> str | None:
        """The commit, None where the user named something that can come to mean another."""
        return self.revision if self.revision is not None and COMMIT.fullmatch(self.revision) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A version in MLflow's registry, by its number or by an alias that it holds.

    Attributes:
        text: As the user wrote it.
        name: Of the registered model.
        version: Its number, "" where an alias is named.
        alias: The alias, "" where a version is named.
    """

    text: str
    name: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunModel:
    """A model that a run of MLflow logged.

    Attributes:
        text: As the user wrote it.
        run: The run's id.
        path: Of the artifact, or the name of the model that it logged.
    """

    text: str
    run: str
    path: str

    @property
    def name(self) -> str:
        """What the model is called where nobody says otherwise."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFolder:
    """The objects below a prefix of an object store.

    Attributes:
        text: As the user wrote it.
        scheme: `s3` or `gs`.
        bucket: The bucket.
        prefix: The prefix, without `/` at its ends; "" for the whole bucket.
    """

    text: str
    scheme: str
    bucket: str
    prefix: str = ""

    @property
    def name(self) -> str:
        """What the model is called where nobody says otherwise."""
        return self.prefix.rpartition("/")[2] or self.bucket

    @property
    def root(self) -> str:
        """`BUCKET/PREFIX`, as fsspec names it."""
        return f"{self.bucket}/{self.prefix}".rstrip("/")


Place = Folder | HubModel | RegisteredModel | RunModel | ObjectFolder


def read_place(text: str, *, where: str | None = None) -> Place:
    """What a text means.

    Args:
        text: As the user wrote it.
        where: The option, for messages.

    Raises:
        UsageError: If it names no place, holds credentials, or names one that can come to mean anything.
    """
    if not text.strip() or len(text) > LONGEST or not text.isprintable():
        raise UsageError("this names no model", where=where, fix=f"Give a folder, or {_forms()}")
    match = SCHEME.fullmatch(text)
    if match is None:
        return Folder(text=text, path=text)
    scheme, rest = match["scheme"], match["rest"]
    if scheme in {"http", "https"}:
        raise UsageError(
            "a URL is an endpoint and no model", where=where, fix="Give it with --endpoint (judges: --judge-endpoint)"
        )
    read = READERS.get(scheme)
    if read is None:
        raise UsageError(
            f"models are not taken from {scheme}:", where=where, fix=f"{did_you_mean(scheme, FORMS)}; {_forms()}"
        )
    _refuse_credentials(scheme, rest, where)
    return read(text, rest, where)


def is_hub_name(text: str) -> bool:
    """Whether a text can be OWNER/NAME of the hub."""
    return HUB_NAME.fullmatch(text) is not None and ".." not in text and "--" not in text


def is_plain(path: str) -> bool:
    """Whether a path below a folder stays in it, and means the same file on every system.

    Args:
        path: With `/` between its parts, as a server gives it.
    """
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and all(part not in {"", ".", ".."} for part in parts)


def _forms() -> str:
    return ", ".join(form for scheme, form in FORMS.items() if scheme != "file")


def _no_place(scheme: str, where: str | None, what: str = "", fix: str = "") -> UsageError:
    return UsageError(what or f"this is no model of {scheme}:", where=where, fix=fix or f"Write {FORMS[scheme]}")


def _refuse_credentials(scheme: str, rest: str, where: str | None) -> None:
    """Refuse keys and passwords in what would be shown and kept, without repeating them."""
    authority = rest.removeprefix("//").partition("/")[0] if rest.startswith("//") else ""
    if ("@" in authority and scheme != "hf") or ":" in authority or re.search(r"[?&]\w+=", rest):
        raise UsageError(
            f"the place of the model holds what looks like credentials or parameters, which {scheme}: takes from the "
            "environment only",
            where=where,
            fix=f"Write {FORMS[scheme]}, and put keys where the store's tools look for them (docs/cookbook/models.md)",
        )


def _read_file(text: str, _: str, where: str | None) -> Place:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise _no_place("file", where, f"this is no URL ({error})") from error
    if parts.netloc not in {"", "localhost"} or not parts.path or parts.query or parts.fragment:
        raise _no_place("file", where)
    return Folder(text=text, path=unquote(parts.path))


def _read_hub(text: str, rest: str, where: str | None) -> Place:
    repo, at, revision = rest.removeprefix("//").partition("@")
    if repo.startswith(("datasets/", "spaces/")):
        raise _no_place("hf", where, f"a model is wanted, and this is one of the hub's {repo.partition('/')[0]}")
    if not rest.startswith("//") or not is_hub_name(repo):
        raise _no_place("hf", where, "this names no model on the hub")
    if at and (not REVISION.fullmatch(revision) or ".." in revision):
        raise _no_place(
            "hf",
            where,
            "this names no revision",
            "Write a commit of 40 hexadecimal digits, a tag or a branch after the @",
        )
    return HubModel(text=text, repo=repo, revision=revision if at else None)


def _read_registered(text: str, rest: str, where: str | None) -> Place:
    name, slash, version = rest.removeprefix("/").partition("/")
    bare, at, alias = name.partition("@")
    if rest.startswith("//") or not MODEL_NAME.fullmatch(bare):
        raise _no_place("models", where, "this names no registered model")
    if at and not slash and ALIAS.fullmatch(alias):
        return RegisteredModel(text=text, name=bare, alias=alias)
    if slash and not at and VERSION.fullmatch(version):
        return RegisteredModel(text=text, name=bare, version=version)
    if version.casefold() in STAGES:
        raise _no_place(
            "models",
            where,
            f"{version!r} means another version tomorrow, and leaves no trace of which it was",
            f"Name the version or an alias: {FORMS['models']}",
        )
    raise _no_place("models", where, "this names no single version")


def _read_run(text: str, rest: str, where: str | None) -> Place:
    run, _, path = rest.removeprefix("/").partition("/")
    path = path.rstrip("/")
    if rest.startswith("//") or not RUN_ID.fullmatch(run) or not is_plain(path):
        raise _no_place("runs", where, "this names no model of a run")
    return RunModel(text=text, run=run, path=path)


def _read_objects(text: str, rest: str, where: str | None) -> Place:
    scheme = text.partition(":")[0]
    bucket, _, prefix = rest.removeprefix("//").partition("/")
    prefix = prefix.rstrip("/")
    if not rest.startswith("//") or not BUCKET.fullmatch(bucket) or (prefix and not is_plain(prefix)):
        raise _no_place(scheme, where, "this names no folder of a bucket")
    if re.search(r"[*?#\[\]]", prefix):
        raise _no_place(scheme, where, "a pattern or a fragment names no single folder")
    return ObjectFolder(text=text, scheme=scheme, bucket=bucket, prefix=prefix)


READERS: Final = {
    "file": _read_file,
    "hf": _read_hub,
    "models": _read_registered,
    "runs": _read_run,
    "s3": _read_objects,
    "gs": _read_objects,
}
