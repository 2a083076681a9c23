#!/usr/bin/env python3
"""One comment on the pull request per gate, made once and then kept up to date.

The comment begins with a marker that nobody sees and that holds the gate's key, so that two gates do not overwrite each
other. Needs no llmgate: a gate that could not even be installed must not leave an older PASS standing. Ends with 0
however it went; the action's last step says how the gate ended.

Reads from the environment: LLMGATE_ACTION_COMMENT (the key), LLMGATE_VERDICT, LLMGATE_SENTENCE, LLMGATE_SUMMARY (a
file), LLMGATE_ARTIFACT_URL, LLMGATE_PULL_REQUEST (its number), LLMGATE_COMMIT, GITHUB_TOKEN, GITHUB_API_URL,
GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_RUN_ID.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
OURS: Final = "github-actions[bot]"
"""Who comments with a workflow's token. A marker in somebody else's comment is not ours to follow."""
PER_PAGE: Final = 100
MOST_PAGES: Final = 50
ATTEMPTS: Final = 3
TIMEOUT_S: Final = 30.0


class NotPostedError(Exception):
    """Why there is no comment, one sentence with what to do."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to wherever it leads."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub:
    """The comments of one pull request.

    Attributes:
        api: URL of the API.
        repository: OWNER/NAME.
        number: The pull request's.
        token: Of the workflow.
        pause_s: Seconds before the first repetition of a request.
    """

    api: str
    repository: str
    number: int
    token: str
    pause_s: float = 1.0

    def ask(self, method: str, path: str, content: Mapping[str, str] | None = None) -> Any:
        """Send one request, again if the server is at fault, and read its reply.

        Raises:
            NotPostedError: If it is refused or nobody answers.
        """
        request = urllib.request.Request(  # noqa: S310 - the runner's own API
            f"{self.api}/repos/{self.repository}/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "llmgate",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        opener = urllib.request.build_opener(NoRedirect)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with opener.open(request, timeout=TIMEOUT_S) as reply:
                    return json.loads(reply.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code < 500 or attempt == ATTEMPTS:
                    raise NotPostedError(refusal(error.code)) from error
            except (OSError, ValueError, HTTPException) as error:
                if attempt == ATTEMPTS:
                    raise NotPostedError(f"GitHub's API does not answer ({type(error).__name__})") from error
            time.sleep(self.pause_s * 2 ** (attempt - 1))
        raise AssertionError

    def comments(self) -> Iterator[dict[str, Any]]:
        """All comments, oldest first."""
        for page in range(1, MOST_PAGES + 1):
            found = self.ask("GET", f"issues/{self.number}/comments?per_page={PER_PAGE}&page={page}")
            if not isinstance(found, list):
                raise NotPostedError("GitHub's API gave no list of comments")
            yield from (comment for comment in found if isinstance(comment, dict))
            if len(found) < PER_PAGE:
                return

    def put(self, marker: str, body: str) -> str:
        """Write the comment that begins with a marker; its doubles, made by two runs at once, are removed.

        Returns:
            `created` or `updated`.
        """
        mine = [comment for comment in self.comments() if is_ours(comment, marker)]
        if not mine:
            self.ask("POST", f"issues/{self.number}/comments", {"body": body})
            return "created"
        first, *doubles = mine
        self.ask("PATCH", f"issues/comments/{int(first['id'])}", {"body": body})
        for double in doubles:
            self.ask("DELETE", f"issues/comments/{int(double['id'])}")
        return "updated"


def is_ours(comment: Mapping[str, Any], marker: str) -> bool:
    """Whether a workflow wrote the comment for this gate."""
    author = comment.get("user") or {}
    return author.get("login") == OURS and str(comment.get("body") or "").startswith(marker)


def refusal(status: int) -> str:
    """What a status means for whoever wrote the workflow."""
    if status in {401, 403, 404}:
        return (
            f"GitHub refused ({status}). Give the job `permissions: pull-requests: write`; pull requests from forks"
            " get no token that may comment"
        )
    return f"GitHub refused ({status})"


def marker_of(key: str) -> str:
    """The hidden first line of a gate's comment.

    Raises:
        NotPostedError: If the key could end the marker.
    """
    if not KEY.fullmatch(key):
        raise NotPostedError(f"input comment is {key!r}. Give letters, digits, dots, - and _, at most 64")
    return f"<!-- llmgate: {key} -->"


def body_of(environ: Mapping[str, str], marker: str) -> str:
    """The whole comment: marker, the summary or why there is none, and where the rest is."""
    verdict = environ.get("LLMGATE_VERDICT") or "ERROR"
    summary = text_of(environ.get("LLMGATE_SUMMARY", ""))
    if verdict == "ERROR" or not summary:
        sentence = " ".join((environ.get("LLMGATE_SENTENCE") or "see the log").split())[:1000]
        title = "⚠️ ERROR: the gate could not run" if verdict == "ERROR" else verdict
        # A fence that is longer than any in the text.
        ticks = "`" * (max([2, *map(len, re.findall("`+", sentence))]) + 1)
        summary = f"## {title}\n\n{ticks}text\n{sentence}\n{ticks}\n"
    return f"{marker}\n{summary.rstrip()}\n\n{links(environ)}\n"


def links(environ: Mapping[str, str]) -> str:
    """One line: which gate, which commit, and where report and log are."""
    server, repository, number = (environ.get(f"GITHUB_{it}", "") for it in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    run = f"{server}/{repository}/actions/runs/{number}"
    parts = [f"Gate `{environ.get('LLMGATE_ACTION_COMMENT', '').strip()}`"]
    if commit := re.fullmatch("[0-9a-f]{7,64}", environ.get("LLMGATE_COMMIT", "")):
        parts.append(f"commit {commit[0][:12]}")
    if artifact := environ.get("LLMGATE_ARTIFACT_URL"):
        parts.append(f"[report and record]({artifact})")
    return " · ".join([*parts, f"[run]({run})"])


def text_of(path: str) -> str:
    """A file's text, "" if there is none."""
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError):
        return ""


def number_of(environ: Mapping[str, str]) -> int:
    """The pull request's number.

    Raises:
        NotPostedError: If there is none.
    """
    number = environ.get("LLMGATE_PULL_REQUEST", "")
    if not re.fullmatch("[0-9]{1,12}", number):
        raise NotPostedError("This run is not about a pull request. Start it on: pull_request")
    return int(number)


def main(environ: Mapping[str, str] = os.environ, *, pause_s: float = 1.0) -> None:
    """Post, and say in one line what became of it."""
    try:
        marker = marker_of(environ.get("LLMGATE_ACTION_COMMENT", "").strip())
        github = GitHub(
            api=environ.get("GITHUB_API_URL", ""),
            repository=environ.get("GITHUB_REPOSITORY", ""),
            number=number_of(environ),
            token=environ.get("GITHUB_TOKEN", ""),
            pause_s=pause_s,
        )
        print(f"comment {github.put(marker, body_of(environ, marker))}")  # noqa: T201 - the step's log
    except NotPostedError as error:
        # One workflow command, however the message is worded.
        text = str(error).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        sys.stdout.write(f"::warning title=llmgate: no comment::{text}\n")


if __name__ == "__main__":
    main()
