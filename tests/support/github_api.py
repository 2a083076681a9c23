"""A small stand-in for GitHub's API: the comments of pull requests."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GitHubComments", "github_comments"]

LIST = re.compile(r"/repos/acme/bot/issues/(\d+)/comments(?:\?per_page=(\d+)&page=(\d+))?")
ONE = re.compile(r"/repos/acme/bot/issues/comments/(\d+)")


@dataclass(kw_only=True)
class GitHubComments:
    """The comments of one repository, and what was asked.

    Attributes:
        comments: By id, each with its pull request, author and body.
        requests: Method and path of every request.
        tokens: What each request was authorised by.
        replies: Statuses to answer with before anything is done, one per request.
        garbage: What to answer instead of a list.
    """

    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    replies: list[int] = field(default_factory=list)
    garbage: bytes | None = None
    url: str = ""

    def add(self, body: str, *, number: int = 7, login: str = "github-actions[bot]") -> int:
        """Write a comment and return its id."""
        made = max(self.comments, default=0) + 1
        self.comments[made] = {"id": made, "number": number, "user": {"login": login}, "body": body}
        return made

    def bodies(self, number: int = 7) -> list[str]:
        """What stands under a pull request."""
        return [comment["body"] for comment in self.comments.values() if comment["number"] == number]

    def answer(self, method: str, path: str, content: dict[str, str] | None) -> tuple[int, Any]:
        """Do what is asked."""
        if self.replies and (status := self.replies.pop(0)):
            return status, {"message": "no"}
        if many := LIST.fullmatch(path):
            number = int(many[1])
            if method == "POST" and content:
                return 201, self.comments[self.add(content["body"], number=number)]
            of_it = [comment for comment in self.comments.values() if comment["number"] == number]
            size, page = int(many[2] or 30), int(many[3] or 1)
            return 200, of_it[(page - 1) * size : page * size]
        if (one := ONE.fullmatch(path)) and int(one[1]) in self.comments:
            if method == "PATCH" and content:
                self.comments[int(one[1])]["body"] = content["body"]
                return 200, self.comments[int(one[1])]
            if method == "DELETE":
                del self.comments[int(one[1])]
                return 204, None
        return 404, {"message": "Not Found"}


@contextmanager
def github_comments() -> Iterator[GitHubComments]:
    """Serve the API on a free port of this machine."""
    state = GitHubComments()

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(length)) if length else None
            state.requests.append(f"{self.command} {self.path}")
            state.tokens.append(self.headers.get("Authorization", ""))
            status, reply = state.answer(self.command, self.path, content)
            body = b"" if reply is None else state.garbage or json.dumps(reply).encode()
            self.send_response(status)
            if status in {301, 307}:
                self.send_header("Location", f"{state.url}/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = do_any  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
