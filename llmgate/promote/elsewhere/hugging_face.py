"""The Hugging Face Hub: a version is a commit, and an alias is a git tag on it.

Verdicts lie as files in a branch of the same repository, so that attaching one changes no commit that it is about.
Commits to that branch name the commit before them, which the Hub checks: of two promotions at once one gets through.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError, LlmgateError, PromotionRefusedError
from llmgate.promote.elsewhere.contract import RegisteredVersion
from llmgate.promote.elsewhere.failures import (
    TIMEOUT_S,
    AbsentError,
    FailedCall,
    Meaning,
    calls,
    meaning_of,
    not_installed,
)
from llmgate.promote.elsewhere.shelf import MAX_BYTES, bounded, digests_in, file_name, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

__all__ = ["BRANCH", "HuggingFaceRegistry"]

SERVICE = "the Hugging Face Hub"
BRANCH = "llmgate-verdicts"
"""Holds the verdicts. Its other files are of no meaning."""
STATE = "state.json"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What the branch says about an alias.

    Attributes:
        holder: The commit that was to get it last.
        over: The commit that held it before, None if there was none.
        verdict: Digest of the verdict that it was to get it by.
    """

    holder: str | None
    over: str | None
    verdict: str | None


class HuggingFaceRegistry:
    """A `VerdictRegistry` over the repositories of one Hub; `HF_TOKEN` says who asks.

    Args:
        endpoint: The Hub; by default `HF_ENDPOINT`, or the public one.

    Raises:
        CannotRunError: If huggingface-hub is not installed.
    """

    def __init__(self, *, endpoint: str | None = None) -> None:
        try:
            from huggingface_hub import HfApi  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise not_installed("huggingface-hub", "hf") from error
        wait_at_most(TIMEOUT_S)
        self.api = HfApi(endpoint=endpoint)

    def alias_problem(self, alias: str) -> str | None:
        """A tag may not be called like the branches that are there anyway."""
        if alias in {"main", BRANCH} or COMMIT.fullmatch(alias):
            return f"{alias!r} means a branch or a commit on the Hub, use a name such as 'champion'"
        return None

    def version(self, model: str, version: str) -> RegisteredVersion:
        """The facts of the commit that a revision means now."""
        where = uri(model, version)
        with asking(where):
            told = self.api.model_info(model, revision=version, timeout=TIMEOUT_S)
            sha = str(told.sha)
            commits = self.api.list_repo_commits(model, revision=sha)
            refs = self.api.list_repo_refs(model)
        if COMMIT.fullmatch(sha) is None or not commits or commits[0].commit_id != sha:
            raise CannotRunError(f"the Hub does not say which commit this is ({sha})", where=where)
        head = next((one.target_commit for one in refs.branches if one.name == BRANCH), None)
        state = self.state(model, head, sha)
        return RegisteredVersion(
            uri=uri(model, sha),
            workspace="default",
            model=model,
            version=sha,
            source=uri(model, sha),
            created_at=commits[0].created_at.astimezone(UTC).replace(microsecond=0),
            ready=True,
            holds=frozenset(one.name for one in refs.tags if one.target_commit == sha),
            attached=strings(state.get("attached")),
            earned=strings(state.get("earned")),
            handle=head or "",
        )

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """The commit that the tag names.

        Raises:
            PromotionRefusedError: If there is no such tag any more, though a promotion has made one.
        """
        target = self.tagged(model, alias)
        if target is not None:
            return self.version(model, target)
        head = self.head(model)
        notes = self.notes(model, head, alias)
        if notes.holder is not None and notes.over is not None:
            raise PromotionRefusedError(
                f"the tag {alias!r} is gone: a promotion of {notes.holder[:12]} broke off, or somebody deleted it",
                where=uri(model, alias),
                fix=f"Set it back: {by_hand(model, alias, notes.over)}. Or, if nobody is to hold it, delete "
                f"llmgate/{alias}.json in the branch {BRANCH}",
            )
        return None

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        """Commit the verdict and its digest to the branch."""
        head = self.branch(version)
        state = self.state(version.model, head, version.version)
        path = f"{folder(version.version, alias)}/{file_name(digest)}"
        attached = strings(state.get("attached")) | {alias: digest}
        self.commit(
            version,
            head,
            f"Verdict {digest[:12]} on {version.version[:12]} for {alias}",
            {path: envelope, f"llmgate/{version.version}/{STATE}": dumped({**state, "attached": attached})},
        )

    def envelopes(self, version: RegisteredVersion, alias: str) -> Mapping[str, str]:
        """The verdicts in the branch."""
        head = self.head(version.model)
        where = f"{version.model}, branch {BRANCH}"
        if head is None:
            return {}
        path = folder(version.version, alias)
        try:
            with asking(where):
                entries = [one.path for one in self.api.list_repo_tree(version.model, path, revision=head)]
        except AbsentError:
            return {}
        found = {}
        for digest in bounded(digests_in(entries), where):
            text = self.file(version.model, head, f"{path}/{file_name(digest)}")
            if text is not None:
                found[digest] = text
        return found

    def set_holder(
        self, version: RegisteredVersion, alias: str, *, over: RegisteredVersion | None, digest: str
    ) -> None:
        """Write down what is about to happen, then move the tag.

        The Hub cannot move a tag: it is deleted and made again. If making it fails it is put back where it was.
        """
        model, before = version.model, over.version if over is not None else None
        head = self.branch(version)
        notes = self.notes(model, head, alias)
        tagged = self.tagged(model, alias)
        if tagged != before:
            raise PromotionRefusedError(
                "the tag was moved while the verdict was checked", where=version.uri, fix="Promote it again"
            )
        if notes.holder is not None and notes.over == tagged and notes.holder not in {tagged, version.version}:
            raise PromotionRefusedError(
                f"the promotion of {notes.holder[:12]} is under way or was interrupted",
                where=version.uri,
                fix=f"Finish it with `llmgate promote {uri(model, notes.holder)}`, "
                f"or delete llmgate/{alias}.json in the branch {BRANCH}",
            )
        state = self.state(model, head, version.version)
        earned = strings(state.get("earned")) | {alias: digest}
        self.commit(
            version,
            head,
            f"{version.version[:12]} gets {alias}",
            {
                f"llmgate/{version.version}/{STATE}": dumped({**state, "earned": earned}),
                f"llmgate/{alias}.json": dumped({"holder": version.version, "over": before, "verdict": digest}),
            },
        )
        self.move_tag(version, alias, before)

    def finish(self, version: RegisteredVersion, alias: str) -> None:
        """Nothing: a tag that was not moved is not held."""

    def move_tag(self, version: RegisteredVersion, alias: str, before: str | None) -> None:
        """Delete the tag and make it again on the version, or where it was. What an answer did not say is looked up."""
        if before is not None:
            try:
                with asking(version.uri, writing=True):
                    self.api.delete_tag(version.model, tag=alias)
            except LlmgateError:
                if self.tagged(version.model, alias) is not None:
                    raise
        try:
            self.make_tag(version, alias, version.version)
        except LlmgateError as error:
            if before is None:
                raise
            try:
                self.make_tag(version, alias, before)
            except LlmgateError as second:
                raise CannotRunError(
                    f"the tag {alias!r} was deleted and could not be made again ({second.what}), so nobody holds it",
                    where=version.uri,
                    fix=f"Set it back by hand: {by_hand(version.model, alias, before)}",
                ) from error
            error.add_note(f"The tag {alias!r} is back on {before}.")
            raise

    def make_tag(self, version: RegisteredVersion, alias: str, revision: str) -> None:
        """Make the tag; that the answer was lost is no failure."""
        try:
            with asking(version.uri, writing=True):
                self.api.create_tag(version.model, tag=alias, revision=revision)
        except LlmgateError:
            if self.tagged(version.model, alias) != revision:
                raise

    def tagged(self, model: str, alias: str) -> str | None:
        """The commit that a tag names."""
        with asking(uri(model, alias)):
            refs = self.api.list_repo_refs(model)
        return next((str(one.target_commit) for one in refs.tags if one.name == alias), None)

    def head(self, model: str) -> str | None:
        """The last commit of the branch, None where there is no branch."""
        with asking(uri(model, BRANCH)):
            refs = self.api.list_repo_refs(model)
        return next((str(one.target_commit) for one in refs.branches if one.name == BRANCH), None)

    def branch(self, version: RegisteredVersion) -> str:
        """The last commit of the branch, which is made if it is not there."""
        head = self.head(version.model)
        if head is not None:
            return head
        with asking(version.uri, writing=True):
            self.api.create_branch(version.model, branch=BRANCH, revision=version.version, exist_ok=True)
        return self.head(version.model) or version.version

    def commit(self, version: RegisteredVersion, head: str, message: str, files: Mapping[str, str]) -> None:
        """Commit files to the branch, if nobody else did since `head`."""
        from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

        adds = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=text.encode()) for path, text in files.items()]
        with asking(version.uri, writing=True):
            self.api.create_commit(version.model, adds, commit_message=message, revision=BRANCH, parent_commit=head)

    def state(self, model: str, head: str | None, sha: str) -> dict[str, Any]:
        """What the branch says about a commit."""
        return self.json(model, head, f"llmgate/{sha}/{STATE}")

    def notes(self, model: str, head: str | None, alias: str) -> Notes:
        """What the branch says about an alias."""
        told = strings(self.json(model, head, f"llmgate/{alias}.json"))
        return Notes(holder=told.get("holder"), over=told.get("over"), verdict=told.get("verdict"))

    def json(self, model: str, head: str | None, path: str) -> dict[str, Any]:
        """A JSON object in the branch; empty where there is none."""
        text = None if head is None else self.file(model, head, path)
        if text is None:
            return {}
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise CannotRunError(
                "this is no JSON object", where=f"{model}, branch {BRANCH}, {path}", fix="Delete the file"
            )
        return told

    def file(self, model: str, head: str, path: str) -> str | None:
        """A file of the branch, None where there is none."""
        from huggingface_hub import get_session, hf_hub_url  # noqa: PLC0415
        from huggingface_hub.utils._headers import build_hf_headers  # noqa: PLC0415
        from huggingface_hub.utils._http import hf_raise_for_status  # noqa: PLC0415

        where = f"{model}, branch {BRANCH}, {path}"
        address = hf_hub_url(model, path, revision=head, endpoint=self.api.endpoint)
        try:
            # The download of huggingface-hub keeps copies on disk, and this is small.
            with asking(where), get_session().stream("GET", address, headers=build_hf_headers()) as answer:
                hf_raise_for_status(answer)
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > MAX_BYTES:
                        break
        except AbsentError:
            return None
        return read_text(data, where)


def wait_at_most(seconds: float) -> None:
    """Bound the waits of huggingface-hub, for this process: without being told it waits for ever."""
    from huggingface_hub import set_client_factory  # noqa: PLC0415
    from huggingface_hub.utils._http import default_client_factory  # noqa: PLC0415

    def bounded_client() -> Any:
        client = default_client_factory()
        client.timeout = seconds
        return client

    set_client_factory(bounded_client)


def asking(where: str, *, writing: bool = False) -> AbstractContextManager[None]:
    """Calls of the Hub's client."""
    return calls(SERVICE, where, read_error, writing=writing)


def read_error(error: Exception) -> FailedCall | None:
    """What an error of huggingface-hub means."""
    from huggingface_hub.errors import (  # noqa: PLC0415
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, EntryNotFoundError) and not isinstance(error.__cause__, OSError):
        return FailedCall(meaning=Meaning.ABSENT, said=str(error))
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        said = getattr(error, "server_message", None) or f"HTTP {status}"
        return FailedCall(meaning=meaning_of(status), said=said)
    if isinstance(error, LocalTokenNotFoundError):
        return FailedCall(meaning=Meaning.UNKNOWN_CALLER, said="there is no token, set HF_TOKEN")
    if isinstance(error, HFValidationError):
        return FailedCall(meaning=Meaning.OTHER, said=str(error))
    if isinstance(error, OfflineModeIsEnabled) or is_transport(error) or isinstance(error, FileNotFoundError):
        return FailedCall(meaning=Meaning.UNREACHABLE, said=str(error) or type(error).__name__)
    return None


def is_transport(error: Exception) -> bool:
    """Whether it came from the HTTP client, whose name depends on the library's version."""
    return any(kind.__module__.partition(".")[0] in {"httpx", "httpx2", "requests"} for kind in type(error).__mro__)


def by_hand(model: str, alias: str, revision: str) -> str:
    """The command that sets a tag."""
    return f"hf repos tag create {model} {alias} --revision {revision}"


def folder(sha: str, alias: str) -> str:
    """Where the verdicts of a commit for an alias lie in the branch."""
    return f"llmgate/{sha}/{alias}"


def uri(model: str, revision: str) -> str:
    """How a person names it."""
    return f"hf://{model}@{revision}"


def dumped(value: Mapping[str, object]) -> str:
    """As a file."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def strings(value: object) -> dict[str, str]:
    """The strings of a JSON object."""
    items = value.items() if isinstance(value, dict) else ()
    return {str(key): one for key, one in items if isinstance(one, str)}
